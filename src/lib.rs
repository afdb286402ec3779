//! The integration plugin host a SOAR platform starts once per command.
