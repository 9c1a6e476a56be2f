//! What a kernel around another one passes on as it is.

/// Writes these methods of [`Kernel`](crate::kernel::Kernel): each calls that of `self.inner`. A method that has a default, and
/// that a kernel around another one forgets, would be lost in silence: the test below looks that each has all.
macro_rules! pass_on {
    ($($method:ident),* $(,)?) => { $( pass_on!(@ $method); )* };

    (@ now) => { pass_on!(& now() -> Duration); };
    (@ now_to_measure) => { pass_on!(& now_to_measure() -> Duration); };
    (@ clock_slack) => { pass_on!(& clock_slack() -> Duration); };
    (@ wait) => { pass_on!(mut wait(deadline: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()>); };
    (@ events_at_once) => { pass_on!(& events_at_once() -> usize); };
    (@ listen) => { pass_on!(mut listen(address: Address, options: &ListenOptions) -> io::Result<Handle>); };
    (@ adopt_listener) => {
        #[cfg(unix)]
        pass_on!(mut adopt_listener(listener: OwnedFd, tcp: &TcpOptions) -> io::Result<Handle>);
    };
    (@ adopt_stream) => {
        #[cfg(unix)]
        pass_on!(mut adopt_stream(stream: OwnedFd, tcp: &TcpOptions) -> io::Result<(Handle, Option<Address>)>);
    };
    (@ accept) => { pass_on!(mut accept(listener: Handle) -> io::Result<(Handle, Address)>); };
    (@ shed) => { pass_on!(mut shed(listener: Handle) -> io::Result<bool>); };
    (@ connect) => {
        pass_on!(mut connect(address: Address, options: &ConnectOptions) -> Result<Handle, (Syscall, io::Error)>);
    };
    (@ connected) => { pass_on!(mut connected(socket: Handle) -> io::Result<bool>); };
    (@ register) => { pass_on!(mut register(handle: Handle, token: Token) -> io::Result<()>); };
    (@ take_error) => { pass_on!(mut take_error(socket: Handle) -> io::Result<Option<io::Error>>); };
    (@ shutdown) => { pass_on!(mut shutdown(socket: Handle) -> io::Result<()>); };
    (@ close) => { pass_on!(mut close(handle: Handle) -> ()); };
    (@ reset) => { pass_on!(mut reset(socket: Handle) -> ()); };
    (@ set_option) => { pass_on!(mut set_option(socket: Handle, option: SocketOption) -> io::Result<()>); };
    (@ type_of_service) => { pass_on!(& type_of_service(socket: Handle) -> io::Result<u8>); };
    (@ peer_cred) => { pass_on!(& peer_cred(socket: Handle) -> io::Result<PeerCred>); };
    (@ local_address) => { pass_on!(& local_address(handle: Handle) -> io::Result<Address>); };
    (@ datagrams) => { pass_on!(mut datagrams(peer: SocketAddr, local: Option<SocketAddr>) -> io::Result<Handle>); };
    (@ send) => { pass_on!(mut send(socket: Handle, datagram: &[u8]) -> io::Result<()>); };
    (@ receive) => { pass_on!(mut receive(socket: Handle, buffer: &mut [u8]) -> io::Result<usize>); };
    (@ random) => { pass_on!(mut random(buffer: &mut [u8]) -> io::Result<()>); };
    (@ watch_signal) => { pass_on!(mut watch_signal(signal: i32) -> io::Result<()>); };
    (@ unwatch_signal) => { pass_on!(mut unwatch_signal(signal: i32) -> ()); };
    (@ waker) => { pass_on!(mut waker() -> io::Result<Wake>); };
    (@ poll_fd) => {
        #[cfg(unix)]
        pass_on!(& poll_fd() -> Option<BorrowedFd<'_>>);
    };
    (@ open) => { pass_on!(mut open(path: &Path, mode: OpenMode) -> io::Result<Handle>); };
    (@ stdio) => { pass_on!(mut stdio(stream: Stdio) -> io::Result<Handle>); };
    (@ adopt_file) => {
        #[cfg(unix)]
        pass_on!(mut adopt_file(descriptor: OwnedFd, mode: OpenMode) -> io::Result<Handle>);
    };
    (@ watch_file) => { pass_on!(mut watch_file(handle: Handle, token: Token) -> io::Result<Watch>); };

    (& $name:ident($($argument:ident: $type:ty),*) -> $answer:ty) => {
        fn $name(&self $(, $argument: $type)*) -> $answer {
            self.inner.$name($($argument),*)
        }
    };
    (mut $name:ident($($argument:ident: $type:ty),*) -> $answer:ty) => {
        fn $name(&mut self $(, $argument: $type)*) -> $answer {
            self.inner.$name($($argument),*)
        }
    };
}

pub(crate) use pass_on;

#[cfg(test)]
mod tests {
    /// The methods that stand in a piece of source, and those that it passes on.
    fn methods(source: &str) -> Vec<&str> {
        let written = source.lines().filter_map(|line| line.strip_prefix("    fn ")?.split(['(', '<']).next());
        let passed = source.split("pass_on!(").skip(1).filter_map(|rest| rest.split(')').next());
        written.chain(passed.flat_map(|names| names.split(',').map(str::trim))).collect()
    }

    #[test]
    fn each_kernel_around_another_one_has_all_methods() {
        let contract = include_str!("mod.rs").split("pub trait Kernel").nth(1).unwrap().split("\n}\n").next().unwrap();
        let all = methods(contract);
        assert!(all.len() > 30 && all.contains(&"random") && all.contains(&"watch_file"), "{all:?}");
        for (file, source) in [
            ("net/statistics/counted.rs", include_str!("../net/statistics/counted.rs")),
            ("net/trace/watched.rs", include_str!("../net/trace/watched.rs")),
            ("kernel/recording/recorder.rs", include_str!("recording/recorder.rs")),
        ] {
            let (_, source) = source.split_once(" Kernel for ").unwrap();
            let there = methods(source);
            let missing: Vec<_> = all.iter().filter(|method| !there.contains(method)).collect();
            assert!(missing.is_empty(), "{file} forgets {missing:?}");
        }
    }
}
