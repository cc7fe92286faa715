//! The storage: an S3 by the `s3s` crate, over this crate's own content store.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::StreamExt;
use hyper::Request;
use s3s::auth::SimpleAuth;
use s3s::dto::{
    DeleteObjectInput, DeleteObjectOutput, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput,
    PutObjectInput, PutObjectOutput, StreamingBlob, Timestamp,
};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3, S3Request, S3Response, S3Result, s3_error};
use tokio::sync::mpsc;

use super::presign::{BUCKET, Signer};
use super::state::{Object, State};
use crate::content::{BlobWriter, Vault, hex};
use crate::fault::Script;
use crate::http::body::{BodyRules, RequestBody};
use crate::http::cors::Origins;
use crate::http::reply::{self, Reply};
use crate::http::reply_body::ReplyBody;
use crate::http::site::{Asked, Site};
use crate::seen::SeenLog;

/// The site of the storage.
pub(super) struct Storage {
    state: Arc<State>,
    service: S3Service,
    origins: Origins,
    seen: SeenLog,
    script: Script,
    connections: AtomicU64,
}

impl Storage {
    pub(super) fn new(state: Arc<State>, signer: &Signer, vault: Arc<Vault>) -> Self {
        let mut service = S3ServiceBuilder::new(Objects { state: Arc::clone(&state), vault });
        service.set_auth(SimpleAuth::from_single(signer.access_key.clone(), signer.secret_key.clone()));
        Self {
            state,
            service: service.build(),
            origins: Origins::Any,
            seen: SeenLog::default(),
            script: Script::default(),
            connections: AtomicU64::new(0),
        }
    }

    pub(super) async fn bytes(&self, key: &str) -> Option<Vec<u8>> {
        let blob = self.state.lock().objects.get(key)?.blob.clone();
        let mut reader = blob.read_all();
        let mut bytes = Vec::new();
        while let Some(chunk) = reader.next().await {
            bytes.extend_from_slice(&chunk.ok()?);
        }
        Some(bytes)
    }

    pub(super) fn objects(&self) -> usize {
        self.state.lock().objects.len()
    }

    pub(super) fn lose(&self, key: &str) -> bool {
        self.state.lock().objects.remove(key).is_some()
    }

    /// Hands a request to the S3, its body as it is read here: with its faults, and counted.
    async fn serve(&self, asked: &mut Asked) -> Reply {
        let (pieces, piped) = mpsc::channel::<std::io::Result<Bytes>>(2);
        let head = asked.head.clone();
        let body =
            if asked.body.can_have_bytes() { Body::http_body_unsync(ReplyBody::piped(piped)) } else { Body::empty() };
        let pump = async {
            pump(&mut asked.body, pieces).await;
            std::future::pending::<()>().await;
        };
        let answer = tokio::select! {
            biased;
            answer = self.service.call(Request::from_parts(head, body)) => answer,
            () = pump => return reply::empty(hyper::StatusCode::INTERNAL_SERVER_ERROR),
        };
        match answer {
            Ok(answer) => answer.map(ReplyBody::foreign),
            Err(_) => reply::empty(hyper::StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

/// Reads a body for somebody who reads it elsewhere.
async fn pump(body: &mut RequestBody, pieces: mpsc::Sender<std::io::Result<Bytes>>) {
    // Room first: what was read off the connection and not handed on would be lost.
    while let Ok(room) = pieces.reserve().await {
        match body.chunk().await {
            Ok(Some(piece)) => room.send(Ok(piece)),
            Ok(None) => return,
            Err(_) => return room.send(Err(std::io::ErrorKind::UnexpectedEof.into())),
        }
    }
}

impl Site for Storage {
    fn seen(&self) -> &SeenLog {
        &self.seen
    }

    fn script(&self) -> &Script {
        &self.script
    }

    fn connections(&self) -> &AtomicU64 {
        &self.connections
    }

    fn body_rules(&self) -> BodyRules {
        BodyRules { limit: 0, grace: None }
    }

    async fn answer(self: Arc<Self>, mut asked: Asked) -> (Reply, Asked) {
        let reply = match self.origins.preflight(&asked.head) {
            Some(preflight) => preflight,
            None => self.serve(&mut asked).await,
        };
        (reply, asked)
    }

    fn finish(&self, head: &hyper::http::request::Parts, mut reply: Reply) -> Reply {
        self.origins.expose(head, reply.headers_mut());
        reply
    }
}

/// The operations that presigned URLs are made for.
struct Objects {
    state: Arc<State>,
    vault: Arc<Vault>,
}

impl Objects {
    fn object(&self, bucket: &str, key: &str) -> S3Result<Object> {
        if bucket != BUCKET {
            return Err(s3_error!(NoSuchBucket, "The specified bucket does not exist"));
        }
        let object = self.state.lock().objects.get(key).cloned();
        object.ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist."))
    }
}

/// Whether a list of tags has this one, or is `*`.
fn names(tags: &str, etag: &str) -> bool {
    tags.split(',').map(str::trim).any(|tag| tag == "*" || tag == etag)
}

#[async_trait::async_trait]
impl S3 for Objects {
    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let input = request.input;
        let Some(length) = input.content_length else {
            return Err(s3_error!(MissingContentLength, "You must provide the Content-Length HTTP header."));
        };
        let failed = |_| s3_error!(InternalError, "the content could not be kept");
        let mut writer = BlobWriter::new(&self.vault);
        let mut read = 0;
        if let Some(mut body) = input.body {
            while let Some(chunk) = body.next().await {
                let chunk = chunk.map_err(|_| s3_error!(IncompleteBody, "the body ended early"))?;
                read += chunk.len() as i64;
                writer.write(&chunk).await.map_err(failed)?;
            }
        }
        if read != length {
            return Err(s3_error!(IncompleteBody, "the body is not as long as its Content-Length"));
        }
        let (hash, blob) = writer.finish().await.map_err(failed)?;
        // As long as an MD5, which is what a client may expect of a storage's ETag, and as opaque.
        let etag = format!("\"{}\"", &hex(&hash)[..32]);
        let object = Object {
            blob,
            content_type: input.content_type.map(|t| t.to_string()),
            etag: etag.clone(),
            modified: SystemTime::now(),
        };
        self.state.lock().objects.insert(input.key, object);
        Ok(S3Response::new(PutObjectOutput { e_tag: Some(etag), ..Default::default() }))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let object = self.object(&input.bucket, &input.key)?;
        if input.if_match.is_some_and(|tags| !names(&tags, &object.etag)) {
            return Err(s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold"));
        }
        if input.if_none_match.is_some_and(|tags| names(&tags, &object.etag)) {
            return Err(s3_error!(NotModified));
        }
        let whole = object.blob.length();
        let (range, content_range) = match input.range {
            None => (0..whole, None),
            Some(range) => {
                let range = range.check(whole)?;
                let said = format!("bytes {}-{}/{whole}", range.start, range.end - 1);
                (range, Some(said))
            }
        };
        let length = range.end - range.start;
        let body = ReplyBody::content(object.blob.read(range), length);
        let content_type = input.response_content_type.or(object.content_type);
        Ok(S3Response::new(GetObjectOutput {
            body: Some(StreamingBlob::from(Body::http_body_unsync(body))),
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from(length).ok(),
            content_range,
            content_type: content_type.and_then(|t| t.parse().ok()),
            content_disposition: input.response_content_disposition,
            e_tag: Some(object.etag),
            last_modified: Some(Timestamp::from(object.modified)),
            ..Default::default()
        }))
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let object = self.object(&request.input.bucket, &request.input.key)?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: i64::try_from(object.blob.length()).ok(),
            content_type: object.content_type.and_then(|t| t.parse().ok()),
            e_tag: Some(object.etag),
            last_modified: Some(Timestamp::from(object.modified)),
            ..Default::default()
        }))
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.state.lock().objects.remove(&request.input.key);
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }
}
