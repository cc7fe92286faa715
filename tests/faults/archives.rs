//! A bucket as an archive: in memory, in a file, unpacked.
//!
//! An archive has neither length nor hash, and its server makes it on the way. So it can't be gone on with after a cut, and
//! what of it is wrong is seen where it is looked at: `download_to` looks at its end and its directory, unpacking at
//! all of it.

use std::io::{Cursor, Read, Seek};

use crate::folders::{Files, sides, store};
#[cfg(feature = "zip")]
use crate::folders::{between, write};
use crate::stage::{Stage, Verdict, fits, flipped, meanwhile, text};
use crate::trouble::{Bodies, Trouble, Wrong};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bytes,
    ToFile,
    #[cfg(feature = "zip")]
    Unpack,
}

pub(crate) const KINDS: &[(&str, Kind)] = &[
    ("zip-bytes", Kind::Bytes),
    ("zip", Kind::ToFile),
    #[cfg(feature = "zip")]
    ("zip-unpack", Kind::Unpack),
];

impl Kind {
    pub(crate) fn spares(self, trouble: Trouble) -> Option<&'static str> {
        match (self, trouble) {
            (Self::Bytes, Trouble::Truncated | Trouble::OverLong | Trouble::WrongHash) => {
                Some("who takes the bytes looks at them: an archive says neither its length nor its hash")
            }
            _ => trouble.spares_bare_requests(),
        }
    }
}

pub(crate) async fn run(kind: Kind, stage: &mut Stage<'_>) -> Result<Verdict, String> {
    let (mut files, before) = sides(stage);
    store(stage, &files).await?;
    let whole = stage.judge.zip().await.map_err(text)?.bytes(64 << 20).await.map_err(text)?;
    let contents = files.values().map(Vec::len).sum::<usize>() as u64;
    let wrong = match kind {
        // The directory is behind all contents.
        Kind::Bytes | Kind::ToFile => Wrong::LastBit,
        #[cfg(feature = "zip")]
        Kind::Unpack => Wrong::Bit(stage.rng.u64(..contents)),
    };
    let over_long = [&whole, &b"more"[..]].concat();
    let fault = stage.inject("GET", "/zip", &Bodies { request: 0, response: contents, over_long, wrong });
    let (target, old) = (stage.folder.path().join("target"), stage.rng.bool().then(|| stage.content()));
    match (kind, &old) {
        (Kind::ToFile, Some(old)) => std::fs::write(&target, old).map_err(|e| e.to_string())?,
        (Kind::Bytes | Kind::ToFile, _) => {}
        #[cfg(feature = "zip")]
        (Kind::Unpack, _) => write(stage, &before)?,
    }

    let replaced = stage.trouble == Trouble::Replaced;
    let other = flipped(&files["changed"]);
    let writing = async {
        stage.put("changed", other.clone()).await?;
        // The archive that is held is of the files of one moment. Or it is given up: another one is of another moment.
        if stage.goes_on {
            fault.release();
        }
        Ok(())
    };
    let asked = stage.bucket.zip();
    let deed = async {
        match kind {
            Kind::Bytes => asked.await?.bytes(64 << 20).await.map(|bytes| Some(bytes.to_vec())),
            Kind::ToFile => asked.download_to(&target).await.map(|_| None),
            #[cfg(feature = "zip")]
            Kind::Unpack => asked.unpack(stage.folder.path()).await.map(|_| None),
        }
    };
    let outcome = meanwhile(replaced, &fault, deed, writing).await?;
    stage.calm()?;
    let verdict = match outcome {
        Ok(bytes) if bytes.as_ref().is_some_and(|bytes| whole != bytes) => {
            return Err(format!("{} bytes came, of {}", bytes.map_or(0, |bytes| bytes.len()), whole.len()));
        }
        Ok(_) if kind == Kind::ToFile && stage.local().get("target").is_none_or(|there| whole != there) => {
            return Err("the target is another archive".into());
        }
        Ok(bytes) if holds(kind, stage, bytes.as_deref(), &before)? == files => Verdict::Recovered,
        Ok(_) => return Err("it is said to be done, and holds other files".into()),
        Err(error) => {
            is_untouched(kind, stage, &before, &files, old.as_ref()).map_err(|why| format!("after {error} {why}"))?;
            fits(stage, &error)?
        }
    };
    if verdict == Verdict::Typed {
        if replaced {
            files.insert("changed".into(), other);
        }
        let again = stage.judge.zip();
        let again = match kind {
            Kind::Bytes => return Ok(verdict),
            Kind::ToFile => again.download_to(&target).await.map(drop),
            #[cfg(feature = "zip")]
            Kind::Unpack => again.unpack(stage.folder.path()).await.map(drop),
        };
        again.map_err(|e| format!("again: {e:?}"))?;
        if holds(kind, stage, None, &before)? != files {
            return Err("again, and it holds other files".into());
        }
    }
    Ok(verdict)
}

/// The files that came out of it.
#[cfg_attr(not(feature = "zip"), allow(unused_variables))]
fn holds(kind: Kind, stage: &Stage<'_>, bytes: Option<&[u8]>, before: &Files) -> Result<Files, String> {
    let local = stage.local();
    match kind {
        Kind::Bytes => unzipped(Cursor::new(bytes.unwrap_or_default())),
        Kind::ToFile if local.len() != 1 => Err(format!("there is {:?}", local.keys())),
        Kind::ToFile => unzipped(std::fs::File::open(stage.folder.path().join("target")).map_err(|e| e.to_string())?),
        #[cfg(feature = "zip")]
        Kind::Unpack => {
            let mut local = local;
            // It replaces, and deletes nothing.
            let kept = local.remove("extra");
            if kept.as_ref() == before.get("extra") { Ok(local) } else { Err("what it does not have is gone".into()) }
        }
    }
}

/// An archive that failed has left nothing behind, or of one that was unpacked in part each file as a whole.
#[cfg_attr(not(feature = "zip"), allow(unused_variables))]
fn is_untouched(
    kind: Kind,
    stage: &Stage<'_>,
    before: &Files,
    files: &Files,
    old: Option<&Vec<u8>>,
) -> Result<(), String> {
    let local = stage.local();
    match kind {
        #[cfg(feature = "zip")]
        Kind::Unpack => {
            let mut after = before.clone();
            after.extend(files.clone());
            between(&local, before, &after)
        }
        Kind::Bytes => Ok(()),
        Kind::ToFile if local.get("target") == old && local.len() == usize::from(old.is_some()) => Ok(()),
        Kind::ToFile => Err(format!("there is {:?}", local.keys())),
    }
}

fn unzipped(archive: impl Read + Seek) -> Result<Files, String> {
    let mut archive = zip::ZipArchive::new(archive).map_err(|e| e.to_string())?;
    let mut files = Files::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|e| e.to_string())?;
        if entry.is_file() {
            let name = entry.name().map_err(|e| e.to_string())?.into_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).map_err(|e| e.to_string())?;
            files.insert(name, content);
        }
    }
    Ok(files)
}
