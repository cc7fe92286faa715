//! One run: a bucket, a folder, a client that is in a hurry, and a fault.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::pin::pin;
use std::time::{Duration, SystemTime};

use carbonfiles::{Bucket, Client, Error};
use carbonfiles_testserver::{FaultHandle, TestServer};
use fastrand::Rng;
use futures::TryStreamExt;
use tempfile::TempDir;

use crate::support::{admin, builder, read_folder};
use crate::trouble::{Bodies, Trouble};

pub(crate) const NO_EFFECT: &str = "the fault did not take effect";

/// What came of a run in which nothing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The call succeeded, exactly.
    Recovered,
    /// The call failed as it should.
    Typed,
}

/// How long a client waits where the server stalls: short, for there are many. A healthy call must not take longer before
/// the fault strikes; where it does, on a busy machine, the run is made again with more.
pub(crate) const PATIENCE: Duration = Duration::from_millis(250);

pub(crate) struct Stage<'s> {
    pub(crate) server: &'s TestServer,
    pub(crate) trouble: Trouble,
    pub(crate) rng: Rng,
    /// The one whose call meets the fault.
    pub(crate) bucket: Bucket,
    /// The one who looks, and is met by none.
    pub(crate) judge: Bucket,
    pub(crate) folder: TempDir,
    /// What is held goes on when the content has been replaced; else the client loses its patience.
    pub(crate) goes_on: bool,
    fault: Option<FaultHandle>,
    /// How often the fault strikes.
    pub(crate) times: u64,
}

impl<'s> Stage<'s> {
    pub(crate) async fn new(
        server: &'s TestServer,
        trouble: Trouble,
        seed: u64,
        name: &str,
        patience: Duration,
    ) -> Result<Self, String> {
        let name = name.bytes().fold(seed, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let judge: Client = admin(server);
        let made = judge.buckets().create("faults").await.map_err(|e| format!("no bucket: {e}"))?;
        let mut rng = Rng::with_seed(name);
        let goes_on = trouble == Trouble::Replaced && rng.bool();
        let mut hurried = builder(server.url()).token(server.admin_key());
        if trouble.is_stall() && !goes_on {
            hurried = hurried.idle_timeout(patience).response_timeout(patience).slow_response_timeout(patience);
        }
        let hurried = hurried.build().map_err(|e| e.to_string())?;
        Ok(Self {
            server,
            trouble,
            rng,
            goes_on,
            bucket: hurried.bucket(&made.id),
            judge: judge.bucket(&made.id),
            folder: tempfile::tempdir().map_err(|e| e.to_string())?,
            fault: None,
            times: 0,
        })
    }

    /// Bytes that no other run has: from two to some hundred thousand, mostly few.
    pub(crate) fn content(&mut self) -> Vec<u8> {
        let most = *self.rng.choice(&[20, 2000, 200_000, 700_000]).unwrap_or(&20);
        let length = self.rng.usize(16..most);
        let mut content = vec![0; length];
        self.rng.fill(&mut content);
        content
    }

    /// The content of a source: where it is to be written over meanwhile, so long that it can't be on its way already.
    pub(crate) fn source(&mut self) -> Vec<u8> {
        if self.trouble != Trouble::Rewritten {
            return self.content();
        }
        let mut content = vec![0; 8 << 20];
        self.rng.fill(&mut content);
        content
    }

    /// A content that is there before, or none.
    pub(crate) async fn old(&mut self, path: &str) -> Result<Option<Vec<u8>>, String> {
        if self.rng.bool() {
            return Ok(None);
        }
        let old = self.content();
        self.put(path, old.clone()).await?;
        Ok(Some(old))
    }

    pub(crate) async fn put(&self, path: &str, content: Vec<u8>) -> Result<(), String> {
        self.judge.file(path).upload(content).await.map(drop).map_err(|e| format!("preparing {path}: {e}"))
    }

    /// Lays the fault on requests to this bucket: once, twice, or every time.
    pub(crate) fn inject(&mut self, method: &str, part: &str, bodies: &Bodies) -> FaultHandle {
        self.inject_behind(0, method, part, bodies)
    }

    /// The same, with so many requests before it that are let by.
    pub(crate) fn inject_behind(&mut self, skip: u64, method: &str, part: &str, bodies: &Bodies) -> FaultHandle {
        let times = match self.rng.u8(..10) {
            0..6 => 1,
            6..8 => 2,
            _ => u64::MAX,
        };
        // Waiting is the same every time.
        let times = if self.trouble.is_stall() { times.min(2) } else { times };
        let target = format!("/buckets/{}{part}", self.bucket.id());
        let fault = self.server.inject(self.trouble.fault(bodies).on(method, &target).skip(skip).times(times));
        self.fault = Some(fault.clone());
        self.times = times;
        fault
    }

    /// The fault passes, and must have taken effect. What is stalled stays so: nobody waits for it any more, and it must
    /// not change what is looked at.
    pub(crate) fn calm(&self) -> Result<(), String> {
        self.server.clear_faults();
        let fault = self.fault.as_ref().ok_or("no fault was laid")?;
        if fault.fired() == 0 { Err(NO_EFFECT.into()) } else { Ok(()) }
    }

    /// All files of the bucket.
    pub(crate) async fn stored(&self) -> Result<BTreeMap<String, Vec<u8>>, String> {
        let listed: Vec<_> = self.judge.files().list_all().stable().items().try_collect().await.map_err(text)?;
        let mut files = BTreeMap::new();
        for file in listed {
            let content = self.judge.file(&file.path).download().await.map_err(text)?;
            let content = content.bytes(64 << 20).await.map_err(text)?;
            if content.len() as u64 != file.size {
                return Err(format!("{} is listed with {} bytes and has {}", file.path, file.size, content.len()));
            }
            files.insert(file.path, content.to_vec());
        }
        Ok(files)
    }

    /// All files below the folder.
    pub(crate) fn local(&self) -> BTreeMap<String, Vec<u8>> {
        read_folder(self.folder.path())
    }
}

/// An error of the one who looks is no outcome of the run.
#[allow(clippy::needless_pass_by_value, reason = "it is for `map_err`")]
pub(crate) fn text(error: Error) -> String {
    format!("the judge could not look: {error:?}")
}

/// A call that failed, failed in a way that says what happened.
pub(crate) fn fits(stage: &Stage<'_>, error: &Error) -> Result<Verdict, String> {
    if stage.trouble.fits(error.kind()) && !error.message().is_empty() {
        Ok(Verdict::Typed)
    } else {
        Err(format!("the error does not fit: {error:?}"))
    }
}

/// Does the deed. Where something is to be replaced meanwhile, another writer comes as soon as the fault has struck.
pub(crate) async fn meanwhile<T>(
    is_replaced: bool,
    fault: &FaultHandle,
    deed: impl Future<Output = T>,
    writing: impl Future<Output = Result<(), String>>,
) -> Result<T, String> {
    let mut deed = pin!(deed);
    if is_replaced {
        tokio::select! {
            biased;
            () = fault.fired_at_least(1) => {}
            outcome = &mut deed => return Ok(outcome),
        }
        // Who loses patience does not end the other's writing.
        let (outcome, written) = tokio::join!(deed, writing);
        return written.map(|()| outcome);
    }
    Ok(deed.await)
}

/// Other bytes, as many.
pub(crate) fn flipped(content: &[u8]) -> Vec<u8> {
    content.iter().map(|byte| byte ^ 1).collect()
}

/// A file is replaced by another as long: written over, or renamed onto it. Its time tells, however quick that was.
pub(crate) fn replace_on_disk(path: &Path, content: &[u8], renamed: bool) -> std::io::Result<()> {
    if renamed {
        let beside = path.with_extension("new");
        std::fs::write(&beside, content)?;
        return std::fs::rename(beside, path);
    }
    let mut file = std::fs::File::options().write(true).open(path)?;
    file.write_all(content)?;
    file.set_modified(SystemTime::now() + Duration::from_secs(10))
}

/// How a content is told in a complaint.
pub(crate) fn shown(content: Option<&Vec<u8>>) -> String {
    match content {
        None => "nothing".into(),
        Some(content) => format!("{} bytes ({:?}…)", content.len(), &content[..content.len().min(4)]),
    }
}
