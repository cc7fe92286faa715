//! Uploads from each kind of source.

use std::fmt::Debug;
use std::io::Cursor;

use carbonfiles::models::UploadedFile;
use carbonfiles::{ErrorKind, Phase, Result as Outcome, Source};
use tokio::io::AsyncWriteExt;

use crate::stage::{Stage, Verdict, fits, flipped, meanwhile, replace_on_disk, shown};
use crate::trouble::{Bodies, Trouble, Wrong};

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
    /// Whether what has been read of it can be read again.
    pub(crate) fn is_replayable(self) -> bool {
        !matches!(self, Self::Reader | Self::SizedReader | Self::Stream | Self::Writer)
    }

    pub(crate) fn spares(self, trouble: Trouble) -> Option<&'static str> {
        match (self, trouble) {
            (Self::Bytes, Trouble::Replaced | Trouble::Rewritten) => Some("bytes in memory can't be replaced"),
            (_, Trouble::Replaced) if !self.is_replayable() => Some("it is read once: nothing is sent from it again"),
            (Self::Factory, Trouble::Rewritten) => Some("what it makes is bytes here: they can't be replaced"),
            (_, Trouble::Rewritten) if !self.is_replayable() => Some("what a reader or a stream gives is what is sent"),
            _ => None,
        }
    }
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
        wrong: Wrong::Says(answer.into_bytes()),
    }
}

/// The outcome of an upload. A wrong hash in the answer, once it has come, is told as that and as nothing else.
pub(crate) fn told<T: Debug>(stage: &Stage<'_>, outcome: Outcome<T>) -> Result<Outcome<T>, String> {
    let is_mismatch = outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::IntegrityMismatch);
    match stage.trouble == Trouble::WrongHash && !is_mismatch {
        true => Err(format!("the wrong hash came, and it says {outcome:?}")),
        false => Ok(outcome),
    }
}

pub(crate) async fn run(kind: Kind, stage: &mut Stage<'_>) -> Result<Verdict, String> {
    // A name beyond ASCII takes the other route.
    let path = if stage.rng.u8(..4) == 0 { "ünïcode %+#?.bin" } else { "plain.bin" };
    let path = if kind == Kind::Multipart { "plain.bin" } else { path };
    let old = stage.old(path).await?;
    let content = stage.source();
    let other = flipped(&content);
    let disk = stage.folder.path().join("source");
    std::fs::write(&disk, &content).map_err(|e| e.to_string())?;
    let fault = stage.inject("*", "/upload", &bodies(path, content.len()));

    let (replaced, rewritten) = (stage.trouble == Trouble::Replaced, stage.trouble == Trouble::Rewritten);
    let renamed = stage.rng.bool();
    let replace = |progress: carbonfiles::Progress| {
        if replaced && matches!(progress.phase, Phase::Retrying { .. }) {
            replace_on_disk(&disk, &other, renamed).expect("the source can be replaced");
        }
    };
    let file = stage.bucket.file(path);
    let opened = tokio::fs::File::open(&disk).await.map_err(|e| e.to_string())?;
    let deed = async {
        match kind {
            Kind::Multipart => {
                let source = if replaced || rewritten { Source::from(disk.as_path()) } else { content.clone().into() };
                let upload = stage.bucket.files().upload_multipart().file(path, source);
                upload.progress(replace).await.map(|files| files.into_iter().next())
            }
            Kind::Writer => {
                let mut writer = file.upload_writer();
                // What is wrong comes out of the end.
                let _ = writer.write_all(&content).await;
                writer.finish().await.map(Some)
            }
            _ => {
                let chunks: Vec<_> =
                    content.chunks(10_000).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect();
                let source = match kind {
                    Kind::Bytes => content.clone().into(),
                    Kind::Path => disk.as_path().into(),
                    Kind::File => opened.into(),
                    Kind::Reader => Source::reader(Cursor::new(&content)),
                    Kind::SizedReader => Source::reader(Cursor::new(&content)).size(content.len() as u64),
                    // It makes what there is by then.
                    Kind::Factory => Source::factory(|| std::future::ready(std::fs::read(&disk))),
                    _ => Source::stream(futures::stream::iter(chunks)),
                };
                file.upload(source).progress(replace).await.map(Some)
            }
        }
    };
    let writing = async {
        replace_on_disk(&disk, &other, false).map_err(|e| e.to_string())?;
        fault.release();
        Ok(())
    };
    let outcome: Outcome<Option<UploadedFile>> = meanwhile(rewritten, &fault, deed, writing).await?;
    stage.calm()?;

    let stored = stage.stored().await?;
    if stored.keys().any(|name| name != path) {
        return Err(format!("there are files that nobody uploaded: {:?}", stored.keys()));
    }
    let there = stored.get(path);
    let is_new = match (replaced, kind) {
        // It was asked again for what it gives now.
        (true, Kind::Factory) => there == Some(&other),
        // A file that is another one by now is not what was to be sent, not even as a whole.
        _ => there == Some(&content),
    };
    let outcome = told(stage, outcome)?;
    match outcome {
        Ok(Some(done)) if is_new && done.size == content.len() as u64 => Ok(Verdict::Recovered),
        Ok(done) => Err(format!("it says {done:?}, and there is {}", shown(there))),
        Err(error) if is_new || there == old.as_ref() => fits(stage, &error),
        Err(error) => Err(format!("after {error} there is {}", shown(there))),
    }
}
