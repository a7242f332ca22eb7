//! Settings of the allocator that only some commands profit from.

use libmimalloc_sys::mi_option_t;

/// Milliseconds until freed memory goes back to the system (`mi_option_purge_delay`, which the
/// bindings do not name).
const PURGE_DELAY: mi_option_t = 15;

/// Keeps freed memory for the rest of the process. A training step frees and takes the same blocks
/// again and again; giving them back in between costs a quarter of its time in page faults.
pub(crate) fn keep() {
    #[expect(unsafe_code, reason = "the allocator's settings are behind its C interface")]
    // SAFETY: sets one atomic number of a table whose length is beyond this index; a test holds the
    // index against the setting's documented default.
    unsafe {
        libmimalloc_sys::mi_option_set(PURGE_DELAY, -1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(unsafe_code, reason = "the allocator's settings are behind its C interface")]
    #[test]
    fn the_number_is_that_of_the_setting() {
        // SAFETY: reads one number of a table whose length is beyond this index.
        let get = || unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        // The default of mimalloc 3; its neighbours in the table have others.
        assert_eq!(get(), 1000);
        keep();
        assert_eq!(get(), -1);
    }
}
