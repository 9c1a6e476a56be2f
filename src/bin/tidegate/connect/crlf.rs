//! `--crlf`: lines that end with LF are sent with CR LF.

use tidegate::{Loop, SocketId};

use super::Connect;

/// Passes the lines of standard input on to the socket. `ends`: its end is that of the socket too.
pub fn pass_on(on: &mut Loop<'_, Connect>, input: SocketId, to: SocketId, ends: bool) {
    if let Some(mut socket) = on.socket(to) {
        socket.on_drain(move |socket| socket.net.resume(input));
    }
    if let Some(mut input) = on.socket(input) {
        let mut last = 0;
        input.on_data(move |input, chunk| {
            if !input.net.write(to, &with_cr(chunk, &mut last)) {
                input.pause_for("the server does not read");
            }
        });
        if ends {
            input.on_end(move |input| input.net.end(to, None));
        }
    }
}

/// A CR before each LF that has none. `last` is the byte before the chunk, and after it.
fn with_cr(chunk: &[u8], last: &mut u8) -> Vec<u8> {
    let mut text = Vec::with_capacity(chunk.len() + chunk.len() / 16);
    for &byte in chunk {
        if byte == b'\n' && *last != b'\r' {
            text.push(b'\r');
        }
        text.push(byte);
        *last = byte;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lf_has_one_cr_wherever_a_chunk_ends() {
        let mut last = 0;
        let sent = ["\na\nb\r", "\n\n", "", "c\r\r\nd"].map(|chunk| with_cr(chunk.as_bytes(), &mut last)).concat();
        assert_eq!(sent.escape_ascii().to_string(), r"\r\na\r\nb\r\n\r\nc\r\r\nd");
    }
}
