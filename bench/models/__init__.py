"""Model calls measured: direct, through nginx, through gateways one could pick, through ours."""
