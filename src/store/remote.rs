//! Object stores, through the `object_store` crate: credentials and endpoints come from the environment, under the names
//! that the stores' own tools use (`AWS_…`, `GOOGLE_…`).

use futures_util::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, parse_url_opts};
use std::error::Error;
use std::future::Future;
use url::Url;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The store of a URL, and the place in it.
fn open(text: &str) -> Outcome<(Box<dyn ObjectStore>, Path, Url)> {
    let url = Url::parse(text)?;
    let options =
        std::env::vars().filter(|(name, _)| ["AWS_", "GOOGLE_"].iter().any(|prefix| name.starts_with(prefix)));
    let (store, path) = parse_url_opts(&url, options.map(|(name, value)| (name.to_ascii_lowercase(), value)))?;
    Ok((store, path, url))
}

fn run<T>(work: impl Future<Output = object_store::Result<T>>) -> Outcome<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(work)?)
}

pub(super) fn read(url: &str) -> Outcome<Vec<u8>> {
    let (store, path, _) = open(url)?;
    let bytes = run(async { store.get(&path).await?.bytes().await })?;
    Ok(bytes.to_vec())
}

/// An object is there once it is there in full; a second write replaces it.
pub(super) fn write(url: &str, bytes: Vec<u8>) -> Outcome<()> {
    let (store, path, _) = open(url)?;
    run(async { store.put(&path, bytes.into()).await })?;
    Ok(())
}

/// The URLs of the objects directly under a prefix, sorted.
pub(super) fn list(prefix: &str) -> Outcome<Vec<String>> {
    let (store, path, url) = open(prefix)?;
    let found: Vec<_> = run(async { store.list(Some(&path)).try_collect().await })?;
    let root = format!("{}://{}", url.scheme(), url.authority());
    let direct = found.into_iter().filter(|object| object.location.prefix_matches(&path));
    let mut urls: Vec<String> = direct.map(|object| format!("{root}/{}", object.location)).collect();
    urls.retain(|url| !url[prefix.len().min(url.len())..].contains('/'));
    urls.sort();
    Ok(urls)
}
