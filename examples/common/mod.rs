//! What the examples share: which server they talk to, how bars look, how errors are told.

use std::error::Error as StdError;
use std::ffi::OsString;
use std::process::ExitCode;

use carbonfiles::{Access, Client, Phase, Progress};
use carbonfiles_testserver::TestServer;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

pub(crate) type Failure = Box<dyn StdError + Send + Sync>;

/// A server to talk to: the one that the environment names, or one that runs in this process for as long as this lives.
pub(crate) struct Service {
    pub(crate) client: Client,
    pub(crate) in_process: Option<TestServer>,
}

impl Service {
    /// The server of `CARBONFILES_URL`, with the credential of `CARBONFILES_TOKEN`; `None` where no URL is set.
    pub(crate) fn from_env() -> Result<Option<Self>, Failure> {
        if std::env::var_os("CARBONFILES_URL").is_none() {
            return Ok(None);
        }
        Ok(Some(Self { client: Client::from_env()?, in_process: None }))
    }

    /// A test server in this process. What it stores is gone with it.
    pub(crate) async fn in_process() -> Result<Self, Failure> {
        let server = TestServer::start().await?;
        let client = Client::new(server.url(), server.admin_key())?;
        Ok(Self { client, in_process: Some(server) })
    }

    /// This server takes a bad credential for none, so it is better to ask than to wonder later.
    pub(crate) async fn check_token(&self) -> Result<(), Failure> {
        match self.client.check().await? {
            Access::Rejected => Err("the server does not know the token of CARBONFILES_TOKEN. \
                                     It is mistyped, expired or revoked"
                .into()),
            _ => Ok(()),
        }
    }

    /// The server that `--demo` and the environment ask for.
    pub(crate) async fn find(demo: bool) -> Result<Self, Failure> {
        if demo {
            return Self::in_process().await;
        }
        Self::from_env()?.ok_or_else(|| {
            "no server is named. Set\n\
             \x20 CARBONFILES_URL    to its address, such as https://files.example.com\n\
             \x20 CARBONFILES_TOKEN  to an API key, if the call needs one\n\
             or try it with --demo, on a server inside this process"
                .into()
        })
    }
}

/// The arguments, split into those with and without a leading dash; `--` ends the former.
pub(crate) struct Arguments(Vec<OsString>);

impl Arguments {
    pub(crate) fn of_process() -> Self {
        let mut arguments: Vec<_> = std::env::args_os().skip(1).collect();
        arguments.reverse();
        Self(arguments)
    }

    /// The next option, or the next argument that is none.
    pub(crate) fn next(&mut self) -> Option<Argument> {
        let argument = self.0.pop()?;
        match argument.to_str() {
            Some("--") => {
                self.0.reverse();
                Some(Argument::Rest(std::mem::take(&mut self.0)))
            }
            Some(option) if option.starts_with('-') && option.len() > 1 => Some(Argument::Option(option.to_owned())),
            _ => Some(Argument::Plain(argument)),
        }
    }

    /// What follows an option.
    pub(crate) fn value(&mut self, option: &str) -> Result<OsString, Failure> {
        self.0.pop().ok_or_else(|| format!("{option} needs a value").into())
    }
}

pub(crate) enum Argument {
    Option(String),
    Plain(OsString),
    Rest(Vec<OsString>),
}

/// An argument that has to be text.
pub(crate) fn text(argument: OsString) -> Result<String, Failure> {
    argument.into_string().map_err(|bad| format!("{} is not UTF-8", bad.display()).into())
}

/// Ends when the user presses Ctrl-C. Whatever is raced against it is dropped then, and so cancelled.
pub(crate) async fn interrupted() -> Failure {
    match tokio::signal::ctrl_c().await {
        Ok(()) => "interrupted".into(),
        Err(_) => std::future::pending().await,
    }
}

/// Tells what went wrong, with its causes, and turns it into an exit code.
pub(crate) fn exit(outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&*error);
            ExitCode::FAILURE
        }
    }
}

/// An error of the crate says what happened, what to do about it, and to which request; its sources say why.
pub(crate) fn tell(error: &(dyn StdError + 'static)) {
    eprintln!("error: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        eprintln!("  because: {cause}");
        source = cause.source();
    }
}

/// A bar that shows one transfer. It is drawn on a terminal only.
pub(crate) fn bar(name: &str) -> ProgressBar {
    const LOOK: &str = "{prefix:24!} {bar:28} {bytes:>11}/{total_bytes:<11} {bytes_per_sec:>13} {eta:>4}  {msg}";
    let look = ProgressStyle::with_template(LOOK).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::no_length().with_style(look.progress_chars("━╸ ")).with_prefix(name.to_owned())
}

/// Shows on a bar how far a transfer is.
pub(crate) fn show(bar: &ProgressBar, progress: Progress) {
    if let Some(total) = progress.total {
        bar.set_length(total);
    }
    bar.set_position(progress.sent);
    match progress.phase {
        Phase::Queued => bar.set_message("waits for its turn"),
        Phase::Spooling => bar.set_message("reads the source"),
        Phase::Hashing => bar.set_message("checks what is here"),
        Phase::Waiting => bar.set_message("the server is working"),
        Phase::Retrying { after, .. } => bar.set_message(format!("broken; again in {:.1} s", after.as_secs_f64())),
        Phase::Done => bar.finish_with_message("done"),
        _ if progress.attempt > 1 && progress.phase == Phase::Sending => {
            bar.set_message(format!("attempt {}", progress.attempt));
        }
        _ => bar.set_message(""),
    }
}

/// A bar for each of several transfers, and one for all of them.
pub(crate) struct Bars {
    all: MultiProgress,
    total: ProgressBar,
}

impl Bars {
    pub(crate) fn new() -> Self {
        let all = MultiProgress::new();
        let total = all.add(bar("total"));
        total.set_length(0);
        Self { all, total }
    }

    /// Bytes that are known to come.
    pub(crate) fn expect(&self, bytes: u64) {
        self.total.inc_length(bytes);
    }

    /// The bar of one transfer.
    pub(crate) fn start(&self, name: &str) -> OneOf {
        let bar = self.all.insert_before(&self.total, bar(name));
        OneOf { bar, total: self.total.clone(), counted: 0 }
    }

    pub(crate) fn finish(&self) {
        self.total.finish();
    }
}

/// The bar of one of several transfers.
pub(crate) struct OneOf {
    bar: ProgressBar,
    total: ProgressBar,
    counted: u64,
}

impl OneOf {
    pub(crate) fn show(&mut self, progress: Progress) {
        show(&self.bar, progress);
        // An upload that is tried again starts at 0.
        match progress.sent.checked_sub(self.counted) {
            Some(more) => self.total.inc(more),
            None => self.total.dec(self.counted - progress.sent),
        }
        self.counted = progress.sent;
    }

    pub(crate) fn fail(&self) {
        self.bar.abandon_with_message("failed");
    }
}
