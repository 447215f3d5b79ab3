//! A machine that fails on command, for the process into which this library is loaded (`LD_PRELOAD`).
//!
//! The test and the process share a page of numbers (`src/machine.rs` writes it): how far the clock is off, and how many memory mappings
//! are to be left. It is compiled by the test itself, without cargo, so that no crate of the workspace has code of this kind.
//!
//! Everything here is `unsafe` because it stands in for functions of the C library and talks to the kernel.

use std::ffi::{CStr, c_char, c_int, c_long, c_void};
use std::ptr::null_mut;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};

/// The variable that names the file with the page of numbers.
const VARIABLE: &CStr = c"MACHINE_OF_THE_TEST";
/// The numbers, each eight bytes.
const CLOCK_OFFSET_NS: usize = 0;
const MAPPINGS_LEFT: usize = 1;
const MAPPINGS_TAKEN: usize = 2;
const MAPPINGS_ERROR: usize = 3;
const PAGE_BYTES: usize = 4096;
/// More than any machine allows by default; one that allows more is not filled, and the test says so.
const MAPPINGS_MAX: usize = 1 << 20;

const PROT_NONE: c_int = 0;
const PROT_READ: c_int = 1;
const PROT_WRITE: c_int = 2;
const MAP_SHARED: c_int = 1;
const MAP_PRIVATE_ANONYMOUS_NORESERVE: c_int = 0x2 | 0x20 | 0x4000;
const O_RDWR: c_int = 2;
const CLOCK_REALTIME: c_int = 0;
const CLOCK_REALTIME_COARSE: c_int = 5;
#[cfg(target_arch = "x86_64")]
const SYS_CLOCK_GETTIME: c_long = 228;
#[cfg(target_arch = "aarch64")]
const SYS_CLOCK_GETTIME: c_long = 113;

#[repr(C)]
pub struct Time {
    seconds: i64,
    nanoseconds: i64,
}

unsafe extern "C" {
    fn getenv(name: *const c_char) -> *mut c_char;
    fn open(path: *const c_char, flags: c_int, ...) -> c_int;
    fn mmap(at: *mut c_void, bytes: usize, prot: c_int, flags: c_int, file: c_int, offset: i64) -> *mut c_void;
    fn munmap(at: *mut c_void, bytes: usize) -> c_int;
    fn mprotect(at: *mut c_void, bytes: usize, prot: c_int) -> c_int;
    fn syscall(number: c_long, ...) -> c_long;
    fn usleep(microseconds: u32) -> c_int;
}

/// The page of numbers; none if it can't be had, and then nothing fails.
fn page() -> Option<&'static [AtomicI64; PAGE_BYTES / 8]> {
    static PAGE: OnceLock<usize> = OnceLock::new();
    let address = *PAGE.get_or_init(|| unsafe {
        let path = getenv(VARIABLE.as_ptr());
        let file = if path.is_null() { -1 } else { open(path, O_RDWR) };
        let page = mmap(null_mut(), PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if page as isize == -1 { 0 } else { page as usize }
    });
    unsafe { (address as *const [AtomicI64; PAGE_BYTES / 8]).as_ref() }
}

/// Stands in for the C library's function of that name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: c_int, time: *mut Time) -> c_int {
    let result = unsafe { syscall(SYS_CLOCK_GETTIME, c_long::from(clock), time) };
    if result == 0
        && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
        && let Some(page) = page()
    {
        let time = unsafe { &mut *time };
        let offset = page[CLOCK_OFFSET_NS].load(Ordering::Relaxed);
        let nanoseconds = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanoseconds) + i128::from(offset);
        time.seconds = nanoseconds.div_euclid(1_000_000_000) as i64;
        time.nanoseconds = nanoseconds.rem_euclid(1_000_000_000) as i64;
    }
    result as c_int
}

/// Runs before the program's own code.
#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = {
    extern "C" fn start() {
        if page().is_some() {
            std::thread::spawn(follow);
        }
    }
    start
};

/// Takes and gives back memory mappings as the page says.
fn follow() {
    let Some(page) = page() else { return };
    let mut held = None;
    loop {
        match (page[MAPPINGS_LEFT].load(Ordering::Acquire), held) {
            (left @ 1.., None) => held = Some(take_mappings(page, left as usize)),
            (..=0, Some(region)) => {
                unsafe { munmap(region, 2 * MAPPINGS_MAX * PAGE_BYTES) };
                page[MAPPINGS_TAKEN].store(0, Ordering::Release);
                held = None;
            }
            _ => {
                unsafe { usleep(1000) };
            }
        }
    }
}

/// Every second page of a region gets another protection, which makes two mappings of it, until the kernel refuses.
fn take_mappings(page: &[AtomicI64; PAGE_BYTES / 8], left: usize) -> *mut c_void {
    let bytes = 2 * MAPPINGS_MAX * PAGE_BYTES;
    let region = unsafe { mmap(null_mut(), bytes, PROT_NONE, MAP_PRIVATE_ANONYMOUS_NORESERVE, -1, 0) };
    let at = |number: usize| region.wrapping_byte_add((2 * number + 1) * PAGE_BYTES);
    let mut taken = 0;
    while taken < MAPPINGS_MAX {
        if unsafe { mprotect(at(taken), PAGE_BYTES, PROT_READ) } != 0 {
            let error = std::io::Error::last_os_error().raw_os_error().unwrap_or_default();
            page[MAPPINGS_ERROR].store(error.into(), Ordering::Relaxed);
            break;
        }
        taken += 1;
    }
    for _ in 0..left.div_ceil(2).min(taken) {
        taken -= 1;
        unsafe { mprotect(at(taken), PAGE_BYTES, PROT_NONE) };
    }
    page[MAPPINGS_TAKEN].store(taken as i64, Ordering::Release);
    region
}
