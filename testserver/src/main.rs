//! The test server by hand.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use carbonfiles_testserver::{Builder, Defects, StartError, TestServer};
use chrono::{DateTime, Utc};
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
      --jwt-secret SECRET      what dashboard tokens are signed with [the admin key]
      --cleanup-interval MIN   how often expired buckets are deleted, first after 30 seconds; 0 is never [60]
      --clock TIME             when its clock begins, as 2026-11-21T10:21:55Z; the recordings begin then [now]
      --no-defects             without the real server's defects
      --tenantbox              a Tenantbox beside it, with its storage; prints the environment that its clients take
                               (needs the feature tenantbox)
  -h, --help                   this text
";

/// What the command line asks for.
struct Asked {
    server: Builder,
    tenantbox: bool,
}

fn parse() -> Result<Option<Asked>, lexopt::Error> {
    let mut builder = TestServer::builder();
    let mut tenantbox = false;
    let mut minutes: u32 = 60;
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
            Long("jwt-secret") => builder.jwt_secret(arguments.value()?.string()?),
            Long("cleanup-interval") => {
                minutes = arguments.value()?.parse()?;
                builder
            }
            Long("clock") => builder.now(arguments.value()?.parse::<DateTime<Utc>>()?.into()),
            Long("no-defects") => builder.defects(Defects::none()),
            Long("tenantbox") if cfg!(feature = "tenantbox") => {
                tenantbox = true;
                builder
            }
            Long("tenantbox") => return Err("--tenantbox needs --features tenantbox".into()),
            _ => return Err(argument.unexpected()),
        };
    }
    if minutes > 0 {
        builder = builder.cleanup_interval(Duration::from_secs(60 * u64::from(minutes)));
    }
    Ok(Some(Asked { server: builder.address(address), tenantbox }))
}

#[tokio::main]
async fn main() -> ExitCode {
    let asked = match parse() {
        Ok(Some(asked)) => asked,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(wrong) => {
            eprintln!("{wrong}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match run(asked).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            let cause = std::error::Error::source(&failed).map(ToString::to_string).unwrap_or_default();
            eprintln!("{failed}: {cause}");
            ExitCode::FAILURE
        }
    }
}

async fn run(asked: Asked) -> Result<(), StartError> {
    let server = asked.server.start().await?;
    #[cfg(feature = "tenantbox")]
    let tenantbox = match asked.tenantbox {
        true => Some(carbonfiles_testserver::Tenantbox::start().await?),
        false => None,
    };
    println!("{}", server.url());
    #[cfg(feature = "tenantbox")]
    if let Some(tenantbox) = &tenantbox {
        println!("TENANTBOX_BASE_URL={}\nTENANTBOX_API_KEY={}", tenantbox.url(), tenantbox.api_key());
    }
    #[cfg(not(feature = "tenantbox"))]
    debug_assert!(!asked.tenantbox, "it is refused");
    asked_to_stop().await;
    server.shutdown_gracefully().await;
    Ok(())
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
