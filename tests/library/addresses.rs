//! What is an address, and what is none.

use std::net::IpAddr;

use tidegate::Endpoint;

/// Which family the text of an address is of: 4, 6, or 0 if it is none.
fn family(text: &str) -> u8 {
    let families = [format!("{text}:80"), format!("[{text}]:80")].map(|text| match text.parse() {
        Ok(Endpoint::Ip(address)) => match address.ip() {
            IpAddr::V4(_) => 4,
            IpAddr::V6(_) => 6,
        },
        _ => 0,
    });
    families[0] + families[1]
}

#[track_caller]
fn are_of_family(expected: u8, texts: &[&str]) {
    for text in texts {
        assert_eq!(family(text), expected, "{text}");
    }
}

// covers: isip
#[test]
fn an_address_of_either_family_is_told_from_a_name() {
    are_of_family(4, &["127.0.0.1"]);
    let full = "0000:0000:0000:0000:0000:0000:0000:0000";
    are_of_family(6, &[full, "1050:0:0:0:5:600:300c:326b", "2001:252:0:1::2008:6", "2001:dead:beef:1::2008:6"]);
    are_of_family(6, &["2001::", "2001:dead::", "2001:dead:beef:1::", "::", "::1", "ffff:ffff::ffff"]);
    are_of_family(6, &["::2001:252:1:2008:6", "::2001:252:1:1.1.1.1", "::2001:252:1:255.255.255.255"]);
    are_of_family(0, &["x127.0.0.1", "example.com", "", "0", "-1", "256.1.1.1", "127.0.0.1.1"]);
    are_of_family(0, &[":2001:252:0:1::2008:6", "2001:252:0:1::2008:6:", "2001::252::1", "::2001::252::1"]);
    are_of_family(0, &["1:2:3:4:5:6:7:8:9", "2001:dead:beef:1:2008:6:0:1:2", "0000:00000:0000::", "2001:g::1"]);
    are_of_family(0, &["::2001:252:1:255.255.255.255.76", "::anything", "::1%", "fe80::%eth0@1"]);
}

// covers: isipv4
#[test]
fn four_numbers_of_one_to_three_digits_are_an_ipv4_address() {
    are_of_family(4, &["0.0.0.0", "8.8.8.8", "127.0.0.1", "100.100.100.100", "192.168.0.1", "18.101.25.153"]);
    are_of_family(4, &["123.23.34.2", "172.26.168.134", "212.58.241.131", "128.0.0.0", "23.71.254.72"]);
    are_of_family(4, &["223.255.255.255", "192.0.2.235", "99.198.122.146", "46.51.197.88", "173.194.34.134"]);
    are_of_family(0, &[".100.100.100.100", "100..100.100.100.", "100.100.100.100.", "256.100.100.100"]);
    are_of_family(0, &["999.999.999.999", "1000.1.1.1", "1.2.3", "1.2.3.4.5", "http://1.2.3.4/", "01.02.03.04"]);
    are_of_family(0, &["1.2.3.04", "1. 2.3.4", "1.2.3.0x4", "16843009"]);
}

// covers: isipv6
#[test]
fn eight_groups_or_fewer_around_one_gap_are_an_ipv6_address() {
    are_of_family(6, &["1::", "1::8", "1::7:8", "1:2::8", "1:2:3:4:5:6:7::", "1:2:3:4:5:6::8", "::2:3:4:5:6:7:8"]);
    are_of_family(6, &["1:2:3:4:5:6:7:8", "1:2:3:4:5::7:8", "1:2:3::6:7:8", "FE80::", "fe80::217:f2ff:fe07:ed62"]);
    are_of_family(6, &["ABCD:EF01:2345:6789:abcd:ef01:2345:6789", "2001:DB8::1428:57ab", "ff02::1", "::ffff:0:0"]);
    are_of_family(6, &["1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5::1.2.3.4", "1::5:11.22.33.44", "1::1.2.3.4", "::13.1.68.3"]);
    are_of_family(6, &["::ffff:192.168.1.1", "fe80::217:f2ff:254.7.237.98", "64:ff9b::192.0.2.33", "0:0:0:0:0:0:0:0"]);
    are_of_family(0, &["02001:0:1234::1", "2001:0:1234:0:0:C1C0:ABCD:0876:0", ":::", "1:::8", "::1::", "1::2::3"]);
    are_of_family(
        0,
        &["1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7::8:9", "1:", ":1", "1:2:3:4:5:6:7:", ":2:3"],
    );
    are_of_family(0, &["::1.2.256.4", "::01.2.3.4", "1.2.3.4::", "1::1.2.3.4:5", "1:2:3:4:5:6:7:1.2.3.4", "::.1.2.3"]);
    are_of_family(
        0,
        &["2001:0:1234: 0:0:C1C0:ABCD:0876", " ::1", "::1 ", "XXXX::1", "1111:2222:3333:4444:5555:6666:00.00.00.00"],
    );
}

/// The zone of an address is a number here: which interface that is, only the system knows.
#[test]
fn the_zone_of_an_address_is_a_number() {
    assert_eq!(family("fe80::1%2"), 6);
    assert_eq!(family("fe80::1%eth0"), 0);
}
