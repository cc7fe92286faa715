//! The official Python client on the same server: two independent clients, the same results.
//!
//! `tests/foreign/install.sh` installs it; without it this test says that it is skipped, except in CI.

#[allow(dead_code, reason = "each binary uses a part of it")]
#[path = "../support/script.rs"]
mod script;

use carbonfiles::tenantbox::{Client, GB, KB, MB, TB, human_readable};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{client, server};

#[tokio::test]
async fn the_official_client_agrees() {
    const NAME: &str = "tenantbox_sdk.py";
    let python = script::installed("foreign").join("python/bin/python");
    let installed = python.is_file() && has_tenantbox(&python).await;
    if !script::is_ready(NAME, &[(installed, "the official Tenantbox client")], "tests/foreign/install.sh") {
        return;
    }
    let server = server().await;
    let client = client(&server);
    let mut python = Command::new(python);
    python.arg(script::file("tests/foreign").join(NAME)).env("NO_PROXY", "*");
    python.env("TENANTBOX_URL", server.url()).env("TENANTBOX_KEY", server.api_key());
    let answer = async |words: &str| {
        let (verb, words) = words.split_once(' ').unwrap();
        act(&client, verb, &serde_json::from_str(words).unwrap()).await.to_string()
    };
    script::run(NAME, &mut python, answer).await;
}

async fn has_tenantbox(python: &std::path::Path) -> bool {
    let status = Command::new(python).args(["-c", "import tenantbox"]).stderr(std::process::Stdio::null()).status();
    status.await.is_ok_and(|status| status.success())
}

async fn act(client: &Client, verb: &str, words: &Value) -> Value {
    let text = |name: &str| words[name].as_str().unwrap();
    let tenant = || client.tenant(text("tenant"));
    match verb {
        "upload" => json!(tenant().files().upload(std::path::Path::new(text("path"))).await.unwrap()),
        "upload_bytes" => {
            let upload = tenant().files().upload(unhex(text("bytes"))).filename(text("name"));
            json!(upload.await.unwrap())
        }
        "upload_url" => json!(tenant().files().upload_url(text("name")).await.unwrap()),
        "upload_url_fails" => {
            json!(format!("{:?}", tenant().files().upload_url("more.txt").await.unwrap_err().kind()))
        }
        "download" => {
            let bytes = client.file(text("file_path")).download().await.unwrap().bytes(1 << 20).await.unwrap();
            json!({"bytes": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()})
        }
        "download_url" => {
            let link = client.file(text("file_path")).download_url().expires_in(std::time::Duration::from_secs(300));
            let link = link.await.unwrap();
            json!([link.filename, link.content_type, link.size_bytes, link.expires_in])
        }
        "delete" => json!(client.file(text("file_path")).delete().await.unwrap().detail),
        "usage" => {
            let usage = tenant().usage().await.unwrap();
            let mut all = json!(usage);
            all["computed"] = json!({
                "storage_used_mb": usage.storage_used_mb(),
                "storage_limit_mb": usage.storage_limit_mb(),
                "usage_percentage": usage.usage_percentage(),
                "is_unlimited": usage.is_unlimited(),
            });
            all
        }
        "set_limit" => {
            json!(tenant().set_limit(words["bytes"].as_u64().unwrap()).await.unwrap().storage_limit_bytes)
        }
        "remove_limit" => json!(tenant().remove_limit().await.unwrap().storage_limit_bytes),
        "human_readable" => {
            words["sizes"].as_array().unwrap().iter().map(|size| human_readable(size.as_u64().unwrap())).collect()
        }
        "sizes" => {
            let sizes = |n: f64| json!([KB(n), MB(n), GB(n), TB(n)]);
            words["factors"]
                .as_array()
                .unwrap()
                .iter()
                .map(|factor| sizes(factor.as_str().unwrap().parse().unwrap()))
                .collect()
        }
        other => panic!("the script asks for {other:?}"),
    }
}

fn unhex(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
