//! What a run leaves behind: its files, and what it has changed of the service's settings. Both go at the end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use carbonfiles::file_storage::Client;
use futures::TryStreamExt;
use serde_json::{Value, json};

use crate::host::{ADMIN, Host};
use crate::support::within;

const SETTINGS: &str = "/api/settings/modules";

/// What all names of this run begin with: so those of uploads that nobody knows the id of are found as well.
static RUN: LazyLock<String> = LazyLock::new(|| format!("{:010x}", fastrand::u64(..1 << 40)));

/// A name that no other run has, and no other operation.
pub(crate) fn unique(suffix: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{}{:06x}{suffix}", *RUN, COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Deletes the files of this run. A service takes its time to delete from a bucket, and answers then: so a few at a time.
pub(crate) async fn delete_files(client: &Client) {
    let files = client.files();
    let found = files.list_all().search(RUN.as_str()).items().try_collect::<Vec<_>>();
    let mut own = within(found).await.expect("they are listed");
    own.retain(|file| file.filename.starts_with(RUN.as_str()));
    for some in own.chunks(10) {
        let deletion = files.bulk_delete(some.iter().map(|file| &file.id));
        within(deletion.send()).await.expect("they are deleted");
    }
}

/// What was set before, of the settings that were changed; `None` where nothing was.
#[derive(Clone, Default)]
pub(crate) struct Changed(Arc<Mutex<BTreeMap<String, Option<Value>>>>);

impl Changed {
    /// Changes settings of the running service, until they are put back.
    pub(crate) async fn set(&self, host: &Host, settings: Value) {
        let admin = host.login(ADMIN);
        let modules = admin.request(http::Method::GET, SETTINGS).await.expect("the administrator may see settings");
        let modules: Value = serde_json::from_slice(modules.body()).unwrap();
        let module = modules["modules"].as_array().unwrap().iter().find(|module| module["package"] == "file_storage");
        let fields = module.unwrap()["fields"].as_array().unwrap();
        for name in settings.as_object().unwrap().keys() {
            let field = fields.iter().find(|field| field["name"] == name.as_str()).unwrap();
            let before = (field["db_override"] == true).then(|| field["value"].clone());
            self.0.lock().unwrap().entry(name.clone()).or_insert(before);
        }
        put(&admin, &settings).await;
    }

    /// Puts back what was there.
    pub(crate) async fn restore(&self, host: &Host) {
        let changed = std::mem::take(&mut *self.0.lock().unwrap());
        if changed.is_empty() {
            return;
        }
        let admin = host.login(ADMIN);
        for (name, before) in changed {
            match before {
                Some(value) => put(&admin, &json!({ name: value })).await,
                None => {
                    let path = format!("{SETTINGS}/file_storage/{name}");
                    admin.request(http::Method::DELETE, path).await.expect("the administrator may change settings");
                }
            }
        }
    }
}

async fn put(admin: &Client, settings: &Value) {
    let request = admin.request(http::Method::PUT, format!("{SETTINGS}/file_storage")).json(settings);
    request.await.expect("the administrator may change settings");
}
