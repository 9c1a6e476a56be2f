//! Numbers as people read them.

/// `12,345`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `889 KiB`, in three digits.
pub fn bytes(number: f64) -> String {
    let (mut value, mut unit) = (number, "B");
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        // What would be rounded to 1024 is 1 of the next unit.
        if value >= 1023.5 {
            (value, unit) = (value / 1024.0, next);
        }
    }
    let digits = match value {
        _ if unit == "B" || value >= 99.95 => 0,
        _ if value >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.digits$} {unit}")
}

/// `64 µs`, `1.5 ms`, `12 s`.
pub fn time(seconds: f64) -> String {
    let (value, unit) = match seconds {
        _ if seconds < 1e-3 => (seconds * 1e6, "µs"),
        _ if seconds < 1.0 => (seconds * 1e3, "ms"),
        _ => (seconds, "s"),
    };
    let digits = usize::from(value < 9.95 && value != value.trunc());
    format!("{value:.digits$} {unit}")
}

/// Whole seconds, as ages are: `1 d 2 h`.
pub fn age(seconds: u64) -> String {
    let [days, hours, minutes] = [86_400, 3_600, 60].map(|unit| seconds / unit);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [0.0, 1023.0, 1024.0, 10_239.0, 123_456.0, 1_048_500.0, 3e9, 5e15].map(bytes),
            ["0 B", "1023 B", "1.00 KiB", "10.0 KiB", "121 KiB", "1.00 MiB", "2.79 GiB", "4547 TiB"]
        );
        assert_eq!(
            [0.0, 6.4e-5, 1.5e-3, 0.25, 1.0, 42.0].map(time),
            ["0 µs", "64 µs", "1.5 ms", "250 ms", "1 s", "42 s"]
        );
        assert_eq!([0, 59, 61, 7_200, 90_061].map(age), ["0 s", "59 s", "1 min 1 s", "2 h 0 min", "1 d 1 h"]);
    }
}
