# What Prometheus may do: read the metrics, and nothing else. They hold no secret and no token, but the
# names of roles and configs.
path "adobeims/metrics" {
  capabilities = ["read"]
}
