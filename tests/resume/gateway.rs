//! A 404 of something on the way, such as an ingress whose server is being rolled out, says nothing of the content.

use carbonfiles::ErrorKind;
use carbonfiles_testserver::Fault;

use super::{CONTENT, MIB, Scene, beside, gets, within};

#[tokio::test]
async fn a_404_of_something_on_the_way_is_waited_out() {
    for parallel in [1, 3] {
        for body in ["<html>", "", r#"{"error":"Not Found"}"#] {
            let scene = Scene::new(9 * MIB).await;
            scene.server.inject(Fault::close_response_after(2 * MIB as u64).on("GET", CONTENT));
            let gateway = scene.server.inject(Fault::status(404).body(body).on("GET", CONTENT));
            let done = within(scene.file.download_to(&scene.target).parallel(parallel)).await.unwrap();
            assert_eq!((done.size, gateway.fired()), (9 * MIB as u64, 1), "{parallel} {body}");
            scene.assert_whole();
        }
    }
}

#[tokio::test]
async fn a_part_outlives_a_404_of_something_on_the_way() {
    for (parallel, restart) in [(1, false), (3, false), (1, true), (3, true)] {
        let scene = Scene::new(9 * MIB).await;
        scene.interrupted(2 * MIB as u64).await;
        scene.server.inject(Fault::close_response_after(MIB as u64).on("GET", CONTENT));
        let gateway = scene.server.inject(Fault::status(404).body("<html>").on("GET", CONTENT).forever());
        let again = || scene.file.download_to(&scene.target).parallel(parallel).restart_if_changed(restart);
        let error = within(again()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{parallel} {restart} {error}");
        assert!(gateway.fired() > 1);
        assert_eq!(beside(&scene.target).len(), 2, "a part and its record: {parallel} {restart}");
        scene.server.clear_faults();
        let done = within(again()).await.unwrap();
        assert!(done.resumed >= 2 * MIB as u64, "{parallel} {restart} {done:?}");
        scene.assert_whole();
    }
}

/// What the server itself says is asked once, and believed.
#[tokio::test]
async fn a_content_that_has_gone_is_not_kept() {
    for parallel in [1, 3] {
        for words in ["File not found", "Bucket not found"] {
            let scene = Scene::new(9 * MIB).await;
            scene.interrupted(2 * MIB as u64).await;
            scene.server.inject(Fault::close_response_after(MIB as u64).on("GET", CONTENT));
            let words = format!(r#"{{"error":"{words}"}}"#);
            scene.server.inject(Fault::status(404).body(words).on("GET", CONTENT).forever());
            let error = within(scene.file.download_to(&scene.target).parallel(parallel)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ContentChanged, "{parallel} {error}");
            assert!(beside(&scene.target).is_empty(), "{parallel}");
            // The first, and the rest of it or up to three ranges.
            assert!(gets(&scene.server).len() <= parallel + 1, "{parallel}");
        }
    }
}
