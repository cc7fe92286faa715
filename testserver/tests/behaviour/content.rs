//! Content past the memory limit, and interrupted uploads.

use carbonfiles_testserver::TestServer;

use crate::client::{ADMIN, Client, bucket, get, head, once, put, started, upload};

const MIB: usize = 1 << 20;

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

#[tokio::test]
async fn big_content_goes_to_files_and_comes_back() {
    let server = TestServer::builder().memory_limit(8 << 20).start().await.unwrap();
    let bucket = bucket(&server, "1d").await;
    let bytes = pattern(5 * MIB + 3);
    assert_eq!(put(&server, &bucket, "big.bin", &bytes).await.status, 201);
    assert_eq!((server.bytes_in_memory(), server.bytes_in_files()), (1 << 20, (4 << 20) + 3));
    let content = format!("{bucket}/files/big.bin/content");
    assert!(get(&server, &content).await.body == bytes);
    let part = once(&server, "GET", &content, &["Range: bytes=1048570-2097160"], b"").await;
    assert_eq!(part.status, 206);
    assert!(part.body == bytes[1_048_570..=2_097_160]);
    assert_eq!(get(&server, &format!("{bucket}/files/big.bin/verify")).await.json()["valid"], true);
    let patched = once(&server, "PATCH", &content, &[ADMIN, "Content-Range: bytes 3-5/*"], b"new").await;
    assert_eq!(patched.json()["size"], 5 * MIB + 3);
    let mut wanted = bytes;
    wanted[3..6].copy_from_slice(b"new");
    assert!(get(&server, &content).await.body == wanted);
    assert_eq!(once(&server, "DELETE", &bucket, &[ADMIN], b"").await.status, 204);
    assert_eq!((server.bytes_in_memory(), server.bytes_in_files()), (0, 0));
}

/// Exchanges 414 to 418.
#[tokio::test]
async fn what_is_interrupted_is_not_stored_but_earlier_parts_are() {
    let server = TestServer::start().await.unwrap();
    let bucket = bucket(&server, "1d").await;
    put(&server, &bucket, "a.txt", b"old").await;
    drop(started(&server, "PUT", &upload(&bucket, "a.txt"), 100, b"half").await);
    let parts = "--B\r\nContent-Disposition: form-data; name=\"mp1.txt\"; filename=\"x\"\r\n\r\nfirst\r\n\
                 --B\r\nContent-Disposition: form-data; name=\"mp2.txt\"; filename=\"x\"\r\n\r\nsecond";
    let mut client = Client::connect(&server).await;
    let headers = [ADMIN, "Content-Type: multipart/form-data; boundary=B", "Content-Length: 1000"];
    let mut request = head("POST", &format!("{bucket}/upload"), &headers);
    request.extend_from_slice(parts.as_bytes());
    client.write(&request).await.unwrap();
    while get(&server, &format!("{bucket}/files/mp1.txt")).await.status != 200 {}
    drop(client);
    // The server notices when it next looks at that connection; the room is given back then.
    while server.bytes_in_memory() != 8 {
        tokio::task::yield_now().await;
    }
    assert_eq!(get(&server, &format!("{bucket}/files/mp2.txt")).await.status, 404);
    assert_eq!(get(&server, &format!("{bucket}/files/a.txt/content")).await.body, b"old");
}

/// Listing and uploading must not slow down with what is already there.
#[tokio::test]
async fn ten_thousand_files_are_listed_page_by_page() {
    let server = TestServer::start().await.unwrap();
    let bucket = bucket(&server, "1d").await;
    let part = |at: usize| {
        format!("--B\r\nContent-Disposition: form-data; name=\"d{}/f{at}\"; filename=\"x\"\r\n\r\n{at}\r\n", at % 10)
    };
    let body: String = (0..10_000).map(part).collect();
    let headers = [ADMIN, "Content-Type: multipart/form-data; boundary=B"];
    let stored =
        once(&server, "POST", &format!("{bucket}/upload"), &headers, format!("{body}--B--\r\n").as_bytes()).await;
    assert_eq!((stored.status, stored.json()["uploaded"].as_array().map(Vec::len)), (201, Some(10_000)));
    let mut listed = 0;
    let mut client = Client::connect(&server).await;
    for offset in (0..10_000).step_by(1000) {
        let target = format!("{bucket}/files?limit=1000&offset={offset}");
        let page = client.request("GET", &target, &[], b"").await.unwrap().json();
        // The newest first.
        assert_eq!(page["items"][0]["name"], format!("f{}", 9999 - offset));
        listed += page["items"].as_array().map_or(0, Vec::len);
    }
    assert_eq!(listed, 10_000);
    let tree = get(&server, &format!("{bucket}/files?delimiter=/&limit=1000")).await.json();
    assert_eq!(
        (tree["total_directories"].as_u64(), tree["directories"][9]["file_count"].as_u64()),
        (Some(10), Some(1000))
    );
    assert_eq!(get(&server, &bucket).await.json()["unique_content_count"], 10_000);
}
