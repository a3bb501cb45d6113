/// A sync that a test can leave out (crate `fail`, action `return`), to see that its power cuts notice; without the feature
/// `failpoints` nothing but the sync.
#[cfg(feature = "failpoints")]
macro_rules! sync {
    ($name:literal, $sync:expr) => {
        (|| {
            fail::fail_point!($name, |_| Ok(()));
            $sync
        })()
    };
}

#[cfg(not(feature = "failpoints"))]
macro_rules! sync {
    ($name:literal, $sync:expr) => {
        $sync
    };
}

pub(crate) use sync;
