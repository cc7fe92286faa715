//! The code of README.md and docs/tour.md, run: each of their Rust blocks stands here, or in
//! `tour.rs`, between `// snippet` and `// end`, word for word.

#[path = "../support/mod.rs"]
mod support;
mod tour;

use std::error::Error;
use std::path::Path;
use std::process::Stdio;
use std::sync::OnceLock;

use carbonfiles::{Bucket, Client, File, Files};
use carbonfiles_testserver::TestServer;

type Outcome = Result<(), Box<dyn Error>>;

/// What the snippets start from: a server, a client, a bucket. All of them run in one folder, where `photo.jpg` is.
struct Place {
    _server: TestServer,
    client: Client,
    bucket: Bucket,
}

impl Place {
    async fn new() -> Result<Self, Box<dyn Error>> {
        folder();
        let server = support::server().await;
        let client = Client::new(server.url(), server.admin_key())?;
        let bucket = client.bucket(client.buckets().create("readme").await?.id);
        Ok(Self { _server: server, client, bucket })
    }

    fn files(&self) -> Files {
        self.bucket.files()
    }

    async fn file(&self, path: &str) -> Result<File, Box<dyn Error>> {
        let file = self.bucket.file(path);
        file.upload("one\ntwo\n".as_bytes()).await?;
        Ok(file)
    }
}

/// The folder of this process from its first call on.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<&Path> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(concat!(env!("CARGO_TARGET_TMPDIR"), "/readme"));
        std::fs::create_dir_all(folder).expect("a folder for the snippets");
        std::fs::write(folder.join("photo.jpg"), vec![0xd8; 100_000]).expect("a photo");
        std::env::set_current_dir(folder).expect("a folder that can be worked in");
        folder
    })
}

mod quickstart {
    // snippet: quickstart
    use carbonfiles::Client;
    use futures::TryStreamExt;

    #[tokio::main]
    async fn main() -> carbonfiles::Result<()> {
        let client = Client::from_env()?; // CARBONFILES_URL and CARBONFILES_TOKEN

        let bucket = client.buckets().create("my-project").description("Assets").expires("30d").await?;
        let files = client.bucket(&bucket.id).files();

        let photo = files.upload("photo.jpg").progress(|p| println!("{:.0} %", p.percent().unwrap_or(0.0))).await?;
        files["docs/hello.txt"].upload("hello".as_bytes()).await?;
        println!("{}", files[&photo.path].url()?);

        let mut all = files.list_all().items();
        while let Some(file) = all.try_next().await? {
            println!("{:?} has {} bytes", file.path, file.size);
        }

        let done = files["photo.jpg"].download_to("copy.jpg").await?;
        println!("{} bytes, SHA-256 checked: {}", done.size, done.verified_sha256.is_some());
        Ok(())
    }
    // end

    #[test]
    #[ignore = "the_quickstart_runs starts it, with a server in its environment"]
    fn child() {
        main().unwrap();
    }
}

/// The program takes its server from the environment, which a test can only set for another process.
#[tokio::test]
async fn the_quickstart_runs() -> Outcome {
    let server = TestServer::start().await?;
    let output = tokio::process::Command::new(std::env::current_exe()?)
        .args(["quickstart::child", "--exact", "--ignored", "--nocapture"])
        .current_dir(folder())
        .env("CARBONFILES_URL", server.url())
        .env("CARBONFILES_TOKEN", server.admin_key())
        .stdin(Stdio::null())
        .output()
        .await?;
    let told = String::from_utf8(output.stdout)?;
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("\"docs/hello.txt\" has 5 bytes") && told.contains("SHA-256 checked: true"), "{told}");
    assert_eq!(std::fs::read("copy.jpg")?, std::fs::read("photo.jpg")?);
    Ok(())
}

#[tokio::test]
async fn first_upload() -> Outcome {
    let place = Place::new().await?;
    let files = place.files();
    // snippet: first_upload
    use carbonfiles::{Phase, Source};

    // Anything that can be read, under a path that you choose; files.upload("photo.jpg") takes the name from the path.
    let reader = tokio::fs::File::open("photo.jpg").await?;
    let done = files["photos/first.jpg"]
        .upload(Source::reader(reader)) // or bytes, a path, an open file, a stream, a factory
        .progress(|p| match p.phase {
            Phase::Sending => println!("{} bytes of {:?}", p.sent, p.total),
            Phase::Retrying { after, .. } => println!("again in {after:?}"),
            _ => {}
        })
        .await?;
    println!("{}", files[&done.path].url()?);
    // end
    assert_eq!(done.size, 100_000);
    Ok(())
}

#[tokio::test]
async fn first_listing() -> Outcome {
    let place = Place::new().await?;
    let files = place.files();
    place.file("docs/a.txt").await?;
    // snippet: first_listing
    use carbonfiles::models::FileSort;
    use futures::TryStreamExt;

    let page = files.list().sort(FileSort::Name).limit(20).await?;
    println!("{} of {} files", page.items.len(), page.total);

    // All of them, by path, each exactly once although others add and delete meanwhile.
    let mut all = files.list_all().stable().prefix("docs/").items();
    while let Some(file) = all.try_next().await? {
        println!("{:?}, {} bytes", file.path, file.size);
    }
    // end
    assert_eq!(page.total, 1);
    Ok(())
}

#[tokio::test]
async fn first_download() -> Outcome {
    let place = Place::new().await?;
    let file = place.file("docs/first.md").await?;
    // snippet: first_download
    // Into a file: beside it first, continued after a cut, compared, synced, renamed.
    let done = file.download_to("first.md").progress(|p| println!("{} bytes", p.sent)).await?;
    assert!(done.verified_sha256.is_some());

    let bytes = file.download().await?.bytes(10 << 20).await?; // in memory, at most 10 MiB
    let start = file.download().range(..4).await?.bytes(4).await?; // or .stream(), or .reader()
    assert_eq!(start, bytes[..4]);
    // end
    Ok(())
}

#[tokio::test]
async fn first_error() -> Outcome {
    let place = Place::new().await?;
    let client = place.client.clone();
    // snippet: first_error
    use carbonfiles::ErrorKind;
    use std::time::Duration;

    if let Err(error) = client.bucket("nothere").get().timeout(Duration::from_secs(5)).await {
        match error.kind() {
            ErrorKind::NotFound => println!("no such bucket"),
            _ if error.is_retryable() => println!("later, perhaps: {error}"),
            _ => println!("{error}; {:?}", error.hint()),
        }
    }
    // end
    Ok(())
}

#[cfg(feature = "events")]
#[tokio::test]
async fn first_events() -> Outcome {
    let place = Place::new().await?;
    let (bucket, file) = (place.bucket.clone(), place.bucket.file("docs/a.txt"));
    // snippet: first_events
    use carbonfiles::events::Event;
    use futures::TryStreamExt;

    let mut events = bucket.events().prefix("docs/").await?; // now in force
    file.upload("new".as_bytes()).await?;
    while let Some(event) = events.try_next().await? {
        match event {
            Event::FileCreated { file, .. } | Event::FileUpdated { file, .. } => {
                println!("{:?} has {} bytes", file.path, file.size);
                break;
            }
            Event::Reconnected { .. } => println!("events may be missing: list again, and compare"),
            other => println!("{other:?}"),
        }
    }
    let mirror = bucket.mirror().await?; // the listing, and what becomes of it
    println!("{} files, {} bytes", mirror.len(), mirror.total_size());
    // end
    Ok(())
}

/// A Tenantbox, which stops when it is dropped, and its client.
#[cfg(feature = "tenantbox")]
async fn tenantbox() -> Result<(carbonfiles_testserver::Tenantbox, carbonfiles::tenantbox::Client), Box<dyn Error>> {
    folder();
    let server = carbonfiles_testserver::Tenantbox::start().await?;
    let builder = carbonfiles::tenantbox::Client::builder(server.api_key()).base_url(server.url());
    let client = builder.http(reqwest::ClientBuilder::no_proxy).build()?;
    Ok((server, client))
}

/// The URL and a token of the real file_storage, where `tests/file_storage/host.sh` has started it.
#[cfg(feature = "file-storage")]
fn file_storage() -> Option<(String, String)> {
    let set = |name| std::env::var(name).ok();
    let found = set("FILE_STORAGE_TEST_DISK").zip(set("FILE_STORAGE_TEST_DISK_TOKEN"));
    match found {
        Some(_) => drop(folder()),
        None => eprintln!("SKIPPED: FILE_STORAGE_TEST_DISK names no real file_storage service"),
    }
    found
}

#[cfg(feature = "tenantbox")]
#[tokio::test]
async fn first_tenant() -> Outcome {
    let (_server, client) = tenantbox().await?;
    // snippet: first_tenant
    // client: carbonfiles::tenantbox::Client::from_env()?, or Client::new("tbx_key")?
    let files = client.tenant("user_123").files();
    let done = files.upload(std::path::Path::new("photo.jpg")).await?;
    client.file(&done.file_path).download_to("from-tenant.jpg").await?; // keep the path: the service lists no files
    // end
    Ok(())
}

#[cfg(feature = "file-storage")]
#[tokio::test]
async fn first_service() -> Outcome {
    let Some((url, token)) = file_storage() else { return Ok(()) };
    let client = carbonfiles::file_storage::Client::new(url, token)?;
    // snippet: first_service
    // client: carbonfiles::file_storage::Client::new(url, token)?, or Client::from_env()?
    let photo = client.files().upload(std::path::Path::new("photo.jpg")).await?;
    let done = client.file(&photo.id).download_to("from-service.jpg").await?;
    assert!(done.verified_sha256.is_some());
    // end
    Ok(())
}

#[test]
fn every_block_of_the_readme_and_the_tour_is_run_here() {
    let documents = [include_str!("../../README.md"), include_str!("../../docs/tour.md")];
    support::snippets::assert_all_run(&documents, concat!(include_str!("main.rs"), include_str!("tour.rs")));
}

#[test]
fn links_of_the_readme_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let targets = include_str!("../../README.md").split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
    for target in targets.filter(|target| !target.starts_with("http")) {
        assert!(root.join(target).exists(), "README.md links to {target}, which is not there");
    }
}
