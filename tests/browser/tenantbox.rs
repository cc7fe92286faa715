//! The example `tenantbox_web` in a browser: it uploads to another origin, straight to the storage.

#[path = "../../examples/tenantbox_web/app.rs"]
mod app;

use carbonfiles::tenantbox::Client;
use carbonfiles_testserver::Tenantbox;
use serde_json::json;
use tokio::net::TcpListener;

use crate::rig;

#[tokio::test]
async fn visitors_upload_straight_to_the_storage() {
    let server = Tenantbox::start().await.unwrap();
    let builder = Client::builder(server.api_key()).base_url(server.url());
    let client = builder.http(reqwest::ClientBuilder::no_proxy).build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(axum::serve(listener, app::router(client.clone())).into_future());
    let answer = async |words: &str| match words {
        "stored" => {
            let requests = server.storage_requests();
            let put = requests.iter().find(|request| request.method == "PUT").expect("it was uploaded");
            let header = |name: &str| put.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value);
            json!({
                "text_bytes": put.body_bytes,
                "origin": header("origin"),
                "content_type": header("content-type"),
                "credential": header("authorization").or(header("cookie")),
            })
            .to_string()
        }
        "objects" => server.objects().to_string(),
        "use up the quota" => {
            client.tenant("visitor").set_limit(0).await.unwrap();
            "done".to_owned()
        }
        other => panic!("the script asks for {other:?}"),
    };
    rig::run("tenantbox.mjs", &[("APP", &url)], answer).await;
    serving.abort();
}
