//! Uploads from each kind of source.

use std::io::Cursor;

use carbonfiles::models::UploadedFile;
use carbonfiles::{Phase, Result as Outcome, Source};
use tokio::io::AsyncWriteExt;

use crate::stage::{Stage, Verdict, fits, shown};
use crate::trouble::{Bodies, Trouble};

/// Where the bytes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bytes,
    Path,
    File,
    Reader,
    SizedReader,
    Stream,
    Factory,
    Writer,
    Multipart,
}

pub(crate) const KINDS: [(&str, Kind); 9] = [
    ("upload-bytes", Kind::Bytes),
    ("upload-path", Kind::Path),
    ("upload-file", Kind::File),
    ("upload-reader", Kind::Reader),
    ("upload-sized-reader", Kind::SizedReader),
    ("upload-stream", Kind::Stream),
    ("upload-factory", Kind::Factory),
    ("upload-writer", Kind::Writer),
    ("upload-multipart", Kind::Multipart),
];

impl Kind {
    pub(crate) fn meets(self, trouble: Trouble) -> bool {
        match trouble {
            Trouble::Replaced => matches!(self, Self::Path | Self::File),
            _ => is_met_by_uploads(trouble),
        }
    }
}

/// An answer to an upload is JSON of some 300 bytes: it is cut, but its last byte is not known.
pub(crate) fn is_met_by_uploads(trouble: Trouble) -> bool {
    trouble != Trouble::Replaced && !trouble.is_at_the_end()
}

pub(crate) fn bodies(path: &str, length: usize) -> Bodies {
    let answer = format!(
        r#"{{"uploaded":[{{"path":"{path}","name":"{path}","size":{length},"mime_type":"a/b","sha256":"{}","created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z","deduplicated":false}}]}}"#,
        "0".repeat(64)
    );
    Bodies {
        request: length as u64,
        // Whatever the name, it is longer than that.
        response: 200,
        over_long: format!("{answer}{answer}").into_bytes(),
        wrong_hash: Some(answer.into_bytes()),
    }
}

pub(crate) async fn run(kind: Kind, stage: &mut Stage<'_>) -> Result<Verdict, String> {
    // A name beyond ASCII takes the other route.
    let path = if stage.rng.u8(..4) == 0 { "ünïcode %+#?.bin" } else { "plain.bin" };
    let path = if kind == Kind::Multipart { "plain.bin" } else { path };
    let old = stage.old(path).await?;
    let content = stage.content();
    let other: Vec<u8> = content.iter().map(|byte| byte ^ 1).collect();
    let disk = stage.folder.path().join("source");
    std::fs::write(&disk, &content).map_err(|e| e.to_string())?;
    stage.inject("*", "/upload", &bodies(path, content.len()));

    let file = stage.bucket.file(path);
    let outcome: Outcome<Option<UploadedFile>> = match kind {
        Kind::Multipart => {
            let upload = stage.bucket.files().upload_multipart().file(path, content.clone());
            upload.await.map(|files| files.into_iter().next())
        }
        Kind::Writer => {
            let mut writer = file.upload_writer();
            // What is wrong comes out of the end.
            let _ = writer.write_all(&content).await;
            writer.finish().await.map(Some)
        }
        _ => {
            let chunks: Vec<_> = content.chunks(10_000).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect();
            let source = match kind {
                Kind::Bytes => content.clone().into(),
                Kind::Path => disk.as_path().into(),
                Kind::File => tokio::fs::File::open(&disk).await.map_err(|e| e.to_string())?.into(),
                Kind::Reader => Source::reader(Cursor::new(&content)),
                Kind::SizedReader => Source::reader(Cursor::new(&content)).size(content.len() as u64),
                Kind::Factory => Source::factory(|| std::future::ready(Ok::<_, std::io::Error>(content.clone()))),
                _ => Source::stream(futures::stream::iter(chunks)),
            };
            let replaced = stage.trouble == Trouble::Replaced;
            let upload = file.upload(source).progress(|progress| {
                if replaced && matches!(progress.phase, Phase::Retrying { .. }) {
                    let _ = std::fs::write(&disk, &other);
                }
            });
            upload.await.map(Some)
        }
    };
    stage.calm()?;

    let stored = stage.stored().await?;
    if stored.keys().any(|name| name != path) {
        return Err(format!("there are files that nobody uploaded: {:?}", stored.keys()));
    }
    let there = stored.get(path);
    // A source that was replaced may be sent as it was or as it is, and nothing in between.
    let is_new = there == Some(&content) || stage.trouble == Trouble::Replaced && there == Some(&other);
    match outcome {
        Ok(Some(done)) if is_new && done.size == content.len() as u64 => Ok(Verdict::Recovered),
        Ok(done) => Err(format!("it says {done:?}, and there is {}", shown(there))),
        Err(error) if is_new || there == old.as_ref() => fits(&error),
        Err(error) => Err(format!("after {error} there is {}", shown(there))),
    }
}
