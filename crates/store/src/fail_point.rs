/// A sync that a test can leave out (crate `fail`, action `return`), to see that its power cuts notice; nothing but the
/// sync without the feature `failpoints`.
macro_rules! sync {
    ($name:literal, $sync:expr) => {
        (|| {
            #[cfg(feature = "failpoints")]
            fail::fail_point!($name, |_| Ok(()));
            $sync
        })()
    };
}

pub(crate) use sync;
