//! The hosted service itself, where `TENANTBOX_API_KEY` is set.

use std::io::Write as _;

use carbonfiles::tenantbox::Client;

#[tokio::test]
async fn the_hosted_service_takes_and_gives_a_file() {
    if std::env::var_os("TENANTBOX_API_KEY").is_none_or(|key| key.is_empty()) {
        let _ = writeln!(
            std::io::stderr(),
            "skipped the_hosted_service_takes_and_gives_a_file: TENANTBOX_API_KEY is not set"
        );
        return;
    }
    crate::support::secrets::watch();
    let client = Client::from_env().unwrap();
    let tenant = client.tenant("carbonfiles-smoke-test");
    let content = crate::pattern(100_000);
    let done = tenant.files().upload(content.clone()).filename("smoke ü.bin").await.unwrap();
    let file = client.file(&done.file_path);
    let fetched = async {
        let link = file.download_url().await?;
        let bytes = file.download().await?.bytes(1 << 20).await?;
        let part = file.download().range(5..10).await?.bytes(5).await?;
        let usage = tenant.usage().await?;
        carbonfiles::Result::Ok((link, bytes, part, usage))
    };
    let fetched: carbonfiles::Result<_> = fetched.await;
    let deleted = file.delete().await;
    let (link, bytes, part, usage) = fetched.unwrap();
    deleted.unwrap();
    assert_eq!((done.size, link.size_bytes), (100_000, 100_000));
    assert!(bytes == content && part == content[5..10]);
    assert!(usage.total_files >= 1 && usage.storage_used_bytes >= 100_000);
}
