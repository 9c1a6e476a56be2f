//! What this process uses of the machine.

use super::outside;

/// What is known of it. Other systems than Linux tell less.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    pub open_descriptors: Option<u64>,
    pub max_descriptors: Option<u64>,
    pub resident_bytes: Option<u64>,
    pub cpu_seconds: Option<f64>,
}

impl Usage {
    /// At this time. In a run that is played: at that time.
    pub fn now() -> Self {
        let text = outside::fact("usage of the process", || Some(Usage::ask().to_text()));
        text.map_or_else(Usage::default, |text| Usage::of_text(&text))
    }

    /// As a recording keeps it.
    fn to_text(self) -> String {
        let number = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
        let cpu = self.cpu_seconds.map_or_else(String::new, |seconds| seconds.to_string());
        [number(self.open_descriptors), number(self.max_descriptors), number(self.resident_bytes), cpu].join(" ")
    }

    fn of_text(text: &str) -> Self {
        let mut words = text.split(' ');
        let mut number = || words.next().and_then(|word| word.parse().ok());
        let (open_descriptors, max_descriptors, resident_bytes) = (number(), number(), number());
        let cpu_seconds = text.rsplit(' ').next().and_then(|word| word.parse().ok());
        Usage { open_descriptors, max_descriptors, resident_bytes, cpu_seconds }
    }

    #[cfg(unix)]
    fn ask() -> Self {
        use rustix::process::{Resource, getrlimit};
        use rustix::time::{ClockId, clock_gettime};

        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        Usage {
            open_descriptors: open_descriptors(),
            max_descriptors: getrlimit(Resource::Nofile).current,
            resident_bytes: resident_bytes(),
            cpu_seconds: Some(cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9),
        }
    }

    #[cfg(not(unix))]
    fn ask() -> Self {
        Usage::default()
    }
}

/// The size of `/proc/self/fd` is their number since Linux 6.2. Before that they have to be counted, which takes a
/// millisecond for some thousands.
#[cfg(target_os = "linux")]
fn open_descriptors() -> Option<u64> {
    match std::fs::metadata("/proc/self/fd").ok()?.len() {
        // The folder is open itself while it is read.
        0 => Some((std::fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1)),
        count => Some(count),
    }
}

#[cfg(target_os = "linux")]
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let size = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = size.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(all(unix, not(target_os = "linux")))]
fn open_descriptors() -> Option<u64> {
    None
}

#[cfg(all(unix, not(target_os = "linux")))]
fn resident_bytes() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_keeps_it_as_a_text() {
        let all = Usage {
            open_descriptors: Some(20),
            max_descriptors: Some(1024),
            resident_bytes: Some(3 << 20),
            cpu_seconds: Some(1.25),
        };
        for usage in [all, Usage::default(), Usage { max_descriptors: None, ..all }, Usage { cpu_seconds: None, ..all }]
        {
            assert_eq!(Usage::of_text(&usage.to_text()), usage);
        }
        assert_eq!(Usage::of_text("rubbish"), Usage::default());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_something() {
        let before = Usage::now();
        let file = std::fs::File::open("/dev/null").unwrap();
        let after = Usage::now();
        drop(file);
        // Other tests open and close some meanwhile.
        assert!(before.open_descriptors.unwrap() >= 3 && after.open_descriptors.unwrap() >= 3);
        assert!(after.max_descriptors.unwrap() >= 3 && after.resident_bytes.unwrap() > 100_000);
        assert!(after.cpu_seconds >= before.cpu_seconds);
    }
}
