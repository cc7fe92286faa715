//! The server as a program.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_carbonfiles-testserver"));
    command.args(arguments);
    command
}

#[test]
fn its_clock_begins_when_it_is_told_to() {
    let mut started = program(&["--clock", "2026-11-21T10:21:55Z"]).stdout(Stdio::piped()).spawn().unwrap();
    let output = started.stdout.take().unwrap();
    let _program = Program(started);
    let mut url = String::new();
    BufReader::new(output).read_line(&mut url).unwrap();
    let mut socket = TcpStream::connect(url.trim().strip_prefix("http://").unwrap()).unwrap();
    // As recorded. By the machine's clock its time is over.
    let body = r#"{"name":"x","expires_in":"1795342918"}"#;
    let head = "POST /api/buckets HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer admin-test-key";
    let length = body.len();
    write!(socket, "{head}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    assert!(answer.contains(r#""created_at":"2026-11-21T10:2"#), "{answer}");
}

#[test]
fn a_time_that_is_none_is_refused() {
    let output = program(&["--clock", "yesterday"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("yesterday") && said.contains("--clock TIME"), "{said}");
}
