use longshore_store::index::IndexError;

/// Reads from the index on blocking threads: the engine's own where an actor reads, the HTTP server's where a request
/// does.
pub(crate) async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, IndexError> + Send + 'static,
) -> Result<T, IndexError> {
    tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| Err(IndexError::Damaged(error.to_string())))
}
