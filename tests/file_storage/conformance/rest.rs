//! Credentials, permissions, news, and what has no name.

use std::collections::HashMap;
use std::time::Duration;

use carbonfiles::ErrorKind;
use carbonfiles::file_storage::files::StoredEvent;
use futures::TryStreamExt;

use super::operations;
use crate::host::{USER, setting};

operations! {
    a_token_that_is_none => |context| {
        let client = context.host.builder().token("smpat_nosuchtoken").build().unwrap();
        let error = client.files().list().await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Unauthenticated, "Not authenticated"));
        assert!(!format!("{error} {error:?}").contains("nosuchtoken"));
    }
    no_token => |context| {
        let client = context.host.builder().build().unwrap();
        assert_eq!(client.files().list().await.unwrap_err().kind(), ErrorKind::Unauthenticated);
    }
    a_permission_that_is_missing => |context| {
        if context.host.s3 {
            return;
        }
        let reader = context.host.builder().token(setting("FILE_STORAGE_TEST_READ_TOKEN").unwrap()).build().unwrap();
        let stored = context.file("x", ".txt").await;
        assert_eq!(reader.file(&stored.id).get().await.unwrap().id, stored.id);
        let error = reader.files().upload("x".as_bytes()).filename("x").await.unwrap_err();
        assert_eq!((error.kind(), error.missing_permission()), (ErrorKind::PermissionDenied, Some("file_storage.upload")));
        let error = reader.file(&stored.id).delete().await.unwrap_err();
        assert_eq!(error.missing_permission(), Some("file_storage.delete"));
    }
    a_session => |context| {
        let client = context.host.login(USER);
        assert!(client.session_tokens().is_none(), "nothing was sent yet");
        client.files().list().await.unwrap();
        let tokens = client.session_tokens().unwrap();
        assert!(tokens.expires_at > chrono::Utc::now());
        client.log_out().await.unwrap();
        client.log_out().await.unwrap();
        assert!(client.session_tokens().is_none());
    }
    what_has_no_name_here => |context| {
        let answer = context.host.login(USER).request(http::Method::GET, "/api/users/me").await.unwrap();
        let me: HashMap<String, serde_json::Value> = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(me["email"], USER.0);
    }
    what_is_wrong_with_which_field => |context| {
        let request = context.client.request(http::Method::GET, "/api/file-storage/files").query("page", "0");
        let error = request.query("per_page", "999").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let fields: Vec<_> = error.field_errors().iter().map(|field| field.location.join(".")).collect();
        assert_eq!(fields, ["query.page", "query.per_page"]);
    }
    watch_of_files => |context| {
        let files = context.client.files();
        let mut watch = files.watch().relist_every(Duration::from_millis(50));
        while watch.try_next().await.unwrap().unwrap() != StoredEvent::InitDone {}
        let stored = context.file("x", ".txt").await;
        let next = watch.try_next().await.unwrap().unwrap();
        assert!(matches!(&next, StoredEvent::Uploaded(file) if file.id == stored.id), "{next:?}");
        files.file(&stored.id).set_public(true).await.unwrap();
        let next = watch.try_next().await.unwrap().unwrap();
        assert!(matches!(&next, StoredEvent::Changed(file) if file.id == stored.id && file.public), "{next:?}");
        files.file(&stored.id).delete().await.unwrap();
        let next = watch.try_next().await.unwrap().unwrap();
        assert!(matches!(&next, StoredEvent::Removed(file) if file.id == stored.id), "{next:?}");
    }
    watch_begins_with_what_is_there => |context| {
        let stored = context.file("x", ".txt").await;
        let mut watch = context.client.files().watch();
        assert_eq!(watch.try_next().await.unwrap(), Some(StoredEvent::Init));
        let mut found = false;
        loop {
            match watch.try_next().await.unwrap().unwrap() {
                StoredEvent::Listed(file) => found |= file.id == stored.id,
                StoredEvent::InitDone => break,
                other => panic!("{other:?}"),
            }
        }
        assert!(found);
    }
}
