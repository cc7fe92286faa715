//! The servers of a run for which none are named: test servers, in a process of their own so that their memory is not
//! counted as the client's.

use std::io;
use std::process::Stdio;

use carbonfiles_testserver::TestServer;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::bench::Servers;

/// The size that the second server has for a limit.
pub(crate) const LIMIT: u64 = 1 << 20;

/// The servers to use, and the process that they are in, if it is ours.
pub(crate) async fn find() -> io::Result<(Servers, Option<Child>)> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let Some(url) = variable("CARBONFILES_URL") else {
        let (servers, child) = start().await?;
        return Ok((servers, Some(child)));
    };
    let missing = || io::Error::other("CARBONFILES_ADMIN_KEY is not set: the operations need the server's admin key");
    let admin_key = variable("CARBONFILES_ADMIN_KEY").ok_or_else(missing)?;
    Ok((Servers { url, admin_key, limited: variable("CARBONFILES_LIMITED_URL") }, None))
}

/// Starts this program once more, as the servers.
async fn start() -> io::Result<(Servers, Child)> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("--serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stopped = || io::Error::other("the test servers did not start");
    let mut said = BufReader::new(child.stdout.take().ok_or_else(stopped)?).lines();
    let mut next = async || said.next_line().await?.ok_or_else(stopped);
    let (url, limited, admin_key) = (next().await?, next().await?, next().await?);
    Ok((Servers { url, admin_key, limited: Some(limited) }, child))
}

/// Is the servers until standard input ends, which it does when the other process does, whatever ends that.
pub(crate) async fn serve() -> io::Result<()> {
    let server = TestServer::start().await.map_err(io::Error::other)?;
    let limited = TestServer::builder().max_upload_size(LIMIT).start().await.map_err(io::Error::other)?;
    println!("{}\n{}\n{}", server.url(), limited.url(), server.admin_key());
    let mut nothing = Vec::new();
    tokio::io::stdin().read_to_end(&mut nothing).await?;
    Ok(())
}
