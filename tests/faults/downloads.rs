//! Downloads into memory and into files.

use carbonfiles::Result as Outcome;
use futures::TryStreamExt;

use crate::stage::{Stage, Verdict, fits, flipped, meanwhile, shown};
use crate::trouble::{Bodies, Trouble, Wrong};

/// Where the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bytes,
    Stream,
    ToFile,
    /// By several ranges, to a file
    Parallel,
    /// and in order.
    ParallelStream,
}

pub(crate) const KINDS: [(&str, Kind); 5] = [
    ("download-bytes", Kind::Bytes),
    ("download-stream", Kind::Stream),
    ("download-to", Kind::ToFile),
    ("download-parallel", Kind::Parallel),
    ("download-parallel-stream", Kind::ParallelStream),
];

impl Kind {
    fn is_to_file(self) -> bool {
        matches!(self, Self::ToFile | Self::Parallel)
    }

    /// How much one request brings.
    fn range(self) -> Option<usize> {
        match self {
            Self::Bytes | Self::Stream | Self::ToFile => None,
            Self::Parallel => Some(4 << 20),
            Self::ParallelStream => Some(2 << 20),
        }
    }

    /// What is stored, how many of the requests for it the fault lets by, and how many bytes each brings at least.
    fn content(self, stage: &mut Stage<'_>) -> (Vec<u8>, u64, usize) {
        let content = stage.content();
        // One of three fits in one request, as all do that are not parallel.
        let replaced = stage.trouble == Trouble::Replaced;
        let fits = !replaced && stage.rng.u8(..3) == 0;
        let Some(range) = self.range().filter(|_| !fits) else {
            let length = content.len();
            return (content, 0, length);
        };
        // Two are under way at once. The third is asked for when the content is another one already, if the first was held.
        let whole = if replaced { 2 } else { stage.rng.usize(1..=2) };
        let held = if replaced && stage.rng.u8(..4) > 0 { 0 } else { stage.rng.u64(..=whole as u64) };
        let mut ranges = vec![0; whole * range];
        stage.rng.fill(&mut ranges);
        let least = content.len();
        ranges.extend(content);
        (ranges, held, least)
    }
}

pub(crate) async fn run(kind: Kind, stage: &mut Stage<'_>) -> Result<Verdict, String> {
    let (content, skip, length) = kind.content(stage);
    let other = flipped(&content);
    stage.put("file", content.clone()).await?;
    let target = stage.folder.path().join("target");
    let old = stage.rng.bool().then(|| stage.content());
    if let (Some(old), true) = (&old, kind.is_to_file()) {
        std::fs::write(&target, old).map_err(|e| e.to_string())?;
    }
    let over_long = [content.clone(), b"more".to_vec()].concat();
    let wrong = Wrong::Bit(stage.rng.u64(..length as u64));
    let bodies = Bodies { request: 0, response: length as u64, over_long, wrong };
    let fault = stage.inject_behind(skip, "GET", "/files/file/content", &bodies);

    let replaced = stage.trouble == Trouble::Replaced;
    // An answer that contradicts itself in nothing but the hash is not seen through without it. All else must be right by itself.
    let by_hash_alone = matches!(stage.trouble, Trouble::Truncated | Trouble::OverLong | Trouble::WrongHash);
    let verify = by_hash_alone || stage.rng.bool();
    let at_once = if replaced { 2 } else { 3 };
    let file = stage.bucket.file("file");
    let deed = async {
        let download = || file.download().verify(verify);
        match kind {
            Kind::Bytes => download().await?.bytes(64 << 20).await.map(|bytes| Some(bytes.to_vec())),
            Kind::Stream => {
                let chunks: Vec<_> = download().await?.stream().try_collect().await?;
                Ok(Some(chunks.concat()))
            }
            Kind::ParallelStream => {
                let chunks: Vec<_> = download().parallel(at_once).await?.stream().try_collect().await?;
                Ok(Some(chunks.concat()))
            }
            Kind::ToFile => file.download_to(&target).verify(verify).await.map(|_| None),
            Kind::Parallel => file.download_to(&target).verify(verify).parallel(at_once).await.map(|_| None),
        }
    };
    let writing = async {
        stage.put("file", other.clone()).await?;
        // The answer that is held is of the old content, to its end. Or it is given up, and the rest asked for.
        if stage.goes_on {
            fault.release();
        }
        Ok(())
    };
    let outcome: Outcome<Option<Vec<u8>>> = meanwhile(replaced, &fault, deed, writing).await?;
    stage.calm()?;

    let is_right = |bytes: &Vec<u8>| bytes == &content || replaced && bytes == &other;
    let local = stage.local();
    let there = local.get("target");
    let verdict = match outcome {
        Ok(Some(bytes)) if is_right(&bytes) => Ok(Verdict::Recovered),
        Ok(None) if there.is_some_and(is_right) && local.len() == 1 => Ok(Verdict::Recovered),
        Ok(bytes) => Err(format!("it says {}, and there is {:?}", shown(bytes.as_ref()), local.keys())),
        Err(error) if !kind.is_to_file() || there == old.as_ref() => fits(stage, &error),
        Err(error) => Err(format!("after {error} there is {}", shown(there))),
    }?;
    if verdict == Verdict::Typed && kind.is_to_file() {
        // Whatever was left is of use, or at least not in the way.
        let again = stage.judge.file("file").download_to(&target).await.map_err(|e| format!("again: {e:?}"))?;
        let local = stage.local();
        if !local.get("target").is_some_and(is_right) || again.verified_sha256.is_none() || local.len() != 1 {
            return Err(format!("again, and there is {:?}", local.keys()));
        }
    }
    Ok(verdict)
}
