//! How memory is given back to the system.
//!
//! glibc keeps an arena for each thread, and raises the size from which an allocation is its own mapping, so that what a burst has
//! used stays with the process. An agent that runs for years in 40 MiB wants the opposite.

/// Sets the allocator up. To be called before any thread is started; does nothing where there is no glibc.
pub fn keep_small() {
    #[cfg(target_env = "gnu")]
    glibc();
}

#[cfg(target_env = "gnu")]
#[allow(unsafe_code, reason = "mallopt has no safe wrapper")]
fn glibc() {
    const THRESHOLD_BYTES: libc::c_int = 64 * 1024;
    let options = [
        (libc::M_ARENA_MAX, 2),
        (libc::M_MMAP_THRESHOLD, THRESHOLD_BYTES),
        (libc::M_TRIM_THRESHOLD, THRESHOLD_BYTES),
    ];
    for (option, value) in options {
        // SAFETY: `mallopt` takes any two numbers; an option that it does not know changes nothing.
        unsafe { libc::mallopt(option, value) };
    }
}
