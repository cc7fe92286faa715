//! Downloads into memory and into files.

use carbonfiles::Result as Outcome;
use futures::TryStreamExt;

use crate::stage::{Stage, Verdict, fits, shown};
use crate::trouble::{Bodies, Trouble};

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
    pub(crate) fn meets(self, trouble: Trouble) -> bool {
        is_met_by_downloads(trouble)
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
        let (Some(range), 1..) = (self.range(), stage.rng.u8(..3)) else {
            let length = content.len();
            return (content, 0, length);
        };
        let whole = stage.rng.usize(1..=2);
        let mut ranges = vec![0; whole * range];
        stage.rng.fill(&mut ranges);
        let least = content.len();
        ranges.extend(content);
        (ranges, stage.rng.u64(..=whole as u64), least)
    }
}

/// A request without a body is cut where it is, at once.
pub(crate) fn is_met_by_downloads(trouble: Trouble) -> bool {
    use crate::trouble::Place;
    !matches!(trouble, Trouble::CutRequest(Place::First | Place::Middle | Place::Last) | Trouble::StallRequest(_))
}

pub(crate) async fn run(kind: Kind, stage: &mut Stage<'_>) -> Result<Verdict, String> {
    let (content, skip, length) = kind.content(stage);
    let other: Vec<u8> = content.iter().map(|byte| byte ^ 1).collect();
    stage.put("file", content.clone()).await?;
    let target = stage.folder.path().join("target");
    let old = stage.rng.bool().then(|| stage.content());
    if let (Some(old), Kind::ToFile | Kind::Parallel) = (&old, kind) {
        std::fs::write(&target, old).map_err(|e| e.to_string())?;
    }
    let over_long = [content.clone(), b"more".to_vec()].concat();
    let bodies = Bodies { request: 0, response: length as u64, over_long, wrong_hash: None };
    let fault = stage.inject_behind(skip, "GET", "/files/file/content", &bodies);

    let file = stage.bucket.file("file");
    let deed = async {
        match kind {
            Kind::Bytes => file.download().await?.bytes(64 << 20).await.map(|bytes| Some(bytes.to_vec())),
            Kind::Stream => {
                let chunks: Vec<_> = file.download().await?.stream().try_collect().await?;
                Ok(Some(chunks.concat()))
            }
            Kind::ParallelStream => {
                let chunks: Vec<_> = file.download().parallel(4).await?.stream().try_collect().await?;
                Ok(Some(chunks.concat()))
            }
            Kind::ToFile => file.download_to(&target).await.map(|_| None),
            Kind::Parallel => file.download_to(&target).parallel(3).await.map(|_| None),
        }
    };
    let replace = async {
        if stage.trouble == Trouble::Replaced {
            fault.fired_at_least(1).await;
            stage.put("file", other.clone()).await?;
        }
        std::future::pending::<Result<(), String>>().await
    };
    let outcome: Outcome<Option<Vec<u8>>> = tokio::select! {
        outcome = deed => outcome,
        problem = replace => return problem.map(|()| Verdict::Typed),
    };
    stage.calm()?;

    let is_right = |bytes: &Vec<u8>| bytes == &content || stage.trouble == Trouble::Replaced && bytes == &other;
    let local = stage.local();
    let there = local.get("target");
    let verdict = match outcome {
        Ok(Some(bytes)) if is_right(&bytes) => Ok(Verdict::Recovered),
        Ok(None) if there.is_some_and(is_right) && local.len() == 1 => Ok(Verdict::Recovered),
        Ok(bytes) => Err(format!("it says {}, and there is {:?}", shown(bytes.as_ref()), local.keys())),
        Err(error) if !matches!(kind, Kind::ToFile | Kind::Parallel) || there == old.as_ref() => fits(&error),
        Err(error) => Err(format!("after {error} there is {}", shown(there))),
    }?;
    if verdict == Verdict::Typed && matches!(kind, Kind::ToFile | Kind::Parallel) {
        // Whatever was left is of use, or at least not in the way.
        let again = stage.judge.file("file").download_to(&target).await.map_err(|e| format!("again: {e:?}"))?;
        let local = stage.local();
        if !local.get("target").is_some_and(is_right) || again.verified_sha256.is_none() || local.len() != 1 {
            return Err(format!("again, and there is {:?}", local.keys()));
        }
    }
    Ok(verdict)
}
