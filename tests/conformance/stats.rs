//! J: statistics.

use carbonfiles::ErrorKind;

use crate::bench::Bench;
use crate::content::random;
use crate::operation::{Operation, Outcome, Trouble, ensure, operations, refused, same};

pub(crate) const OPERATIONS: &[Operation] = operations!["stats":
    J1 stats "stats";
];

async fn stats(bench: Bench) -> Outcome {
    let keyed = bench.key().await?;
    let bucket = bench.bucket_of(&keyed.client).await?;
    refused(keyed.client.stats().await, ErrorKind::PermissionDenied, 403)?;
    // The server keeps the answer until the next upload; somebody else's question may just have been answered.
    for files in 1..=3 {
        bucket.file(format!("{files}.bin")).upload(random(1000)).await?;
        let stats = bench.admin().stats().await?;
        let own = stats.storage_by_owner.iter().find(|owner| owner.owner == keyed.key.name);
        let Some(own) = own.filter(|own| own.file_count == files) else { continue };
        same!((own.bucket_count, own.total_size), (1, files * 1000), "buckets and bytes of the owner");
        ensure!(stats.total_buckets >= 1 && stats.total_files >= files, "totals below those of one owner");
        ensure!(stats.total_size >= own.total_size, "fewer bytes in all than those of one owner");
        return Ok(format!("{} files in {} buckets", stats.total_files, stats.total_buckets));
    }
    Err(Trouble::Failed("what an owner has just stored does not show".to_owned()))
}
