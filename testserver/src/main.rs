//! The test server by hand.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use carbonfiles_testserver::{Builder, Defects, TestServer};
use lexopt::Arg::{Long, Short};
use lexopt::ValueExt as _;

const HELP: &str = "\
An in-process CarbonFiles server for tests. Not for production: it forgets everything when it ends.

Usage: carbonfiles-testserver [OPTIONS]

      --host ADDRESS           address to listen on [127.0.0.1]
  -p, --port PORT              port to listen on; 0 takes a free one [0]
      --admin-key KEY          admin key [admin-test-key]
      --max-upload-size BYTES  largest request body; 0 is no limit [0]
      --memory-limit BYTES     content kept in memory; the rest goes to temporary files [64 MiB]
      --data-dir DIRECTORY     where temporary files go
      --cors-origins LIST      origins that may read answers, comma-separated [*]
      --no-defects             without the real server's defects
  -h, --help                   this text
";

fn parse() -> Result<Option<Builder>, lexopt::Error> {
    let mut builder = TestServer::builder();
    let mut address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        builder = match argument {
            Short('h') | Long("help") => return Ok(None),
            Short('p') | Long("port") => {
                address.set_port(arguments.value()?.parse()?);
                builder
            }
            Long("host") => {
                address.set_ip(arguments.value()?.parse()?);
                builder
            }
            Long("admin-key") => builder.admin_key(arguments.value()?.string()?),
            Long("max-upload-size") => builder.max_upload_size(arguments.value()?.parse()?),
            Long("memory-limit") => builder.memory_limit(arguments.value()?.parse()?),
            Long("data-dir") => builder.directory(arguments.value()?),
            Long("cors-origins") => {
                let origins = arguments.value()?.string()?;
                if origins == "*" { builder } else { builder.cors_origins(origins.split(',').map(str::trim)) }
            }
            Long("no-defects") => builder.defects(Defects::none()),
            _ => return Err(argument.unexpected()),
        };
    }
    Ok(Some(builder.address(address)))
}

#[tokio::main]
async fn main() -> ExitCode {
    let builder = match parse() {
        Ok(Some(builder)) => builder,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(wrong) => {
            eprintln!("{wrong}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    let server = match builder.start().await {
        Ok(server) => server,
        Err(failed) => {
            let cause = std::error::Error::source(&failed).map(ToString::to_string).unwrap_or_default();
            eprintln!("{failed}: {cause}");
            return ExitCode::FAILURE;
        }
    };
    println!("{}", server.url());
    asked_to_stop().await;
    server.shutdown_gracefully().await;
    ExitCode::SUCCESS
}

/// Ctrl-C, or SIGTERM where there is one.
async fn asked_to_stop() {
    #[cfg(unix)]
    if let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return,
            _ = terminate.recv() => return,
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
