//! A 404 of something on the way, such as an ingress whose server is being rolled out, says nothing of what is there.

use carbonfiles::ErrorKind;
use carbonfiles_testserver::Fault;

use crate::support::{admin, bucket, server, within};
use crate::{fill, stored, tree};

#[tokio::test]
async fn what_only_something_on_the_way_has_not_found_is_not_said_to_be_deleted() {
    let server = server().await;
    let bucket = bucket(&admin(&server)).await;
    fill(&bucket, &tree(&[("extra", "x")])).await;
    let folder = tempfile::tempdir().unwrap();
    // The listing answers, or is not found either, once the sync has looked at the bucket; or it is of no bucket.
    for look in [None, Some("<html>"), Some(""), Some(r#"{"error":"Bucket not found"}"#)] {
        let asked = server.inject(Fault::status(404).body("<html>").on("DELETE", "/files/extra"));
        if let Some(look) = look {
            server.inject(Fault::status(404).body(look).on("GET", "delimiter").skip(1));
        }
        let done = within(bucket.files().sync_up(folder.path()).delete_extra(true).send()).await.unwrap();
        let failed: Vec<_> =
            done.deleted.failed().map(|(path, error)| (path, error.kind(), error.hint().is_some())).collect();
        assert_eq!(failed, [("extra", ErrorKind::NotFound, false)], "{look:?}");
        assert_eq!((done.deleted.done().count(), asked.fired()), (0, 1), "{look:?}");
    }
    assert_eq!(stored(&bucket).await.len(), 1);
}
