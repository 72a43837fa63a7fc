"""Pure: the transparency log (C2SP tlog-tiles, RFC 6962)."""
