//! The only place that prints. Tables and JSON lines go to standard output, everything else to standard error.

/// One line for the reader of standard output.
pub fn out(line: &str) {
    #[expect(clippy::print_stdout, reason = "a command line tool answers on standard output")]
    {
        println!("{line}");
    }
}

/// One line beside the output: progress, or what went wrong.
pub fn note(line: &str) {
    #[expect(clippy::print_stderr, reason = "progress does not belong into a pipe")]
    {
        eprintln!("{line}");
    }
}
