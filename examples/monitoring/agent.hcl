# Vault Agent beside Prometheus: keeps a token in a file that Prometheus reads before every scrape.
#
# The token may read the metrics and nothing else, so it cannot renew itself either. The Agent logs in
# again before it expires, and tries until it succeeds while Vault is away or sealed. (A periodic token
# that somebody renews is dead for good once Vault has been away for longer than its period.)
#
#   vault policy write adobeims-metrics metrics.hcl
#   vault auth enable approle
#   vault write auth/approle/role/prometheus token_policies=adobeims-metrics \
#       token_no_default_policy=true token_ttl=1h token_max_ttl=1h secret_id_num_uses=0 secret_id_ttl=0
#   vault read -field=role_id auth/approle/role/prometheus/role-id >/etc/prometheus/vault-role-id
#   vault write -f -field=secret_id auth/approle/role/prometheus/secret-id >/etc/prometheus/vault-secret-id
#   chown prometheus: /etc/prometheus/vault-*-id
#   chmod 400 /etc/prometheus/vault-*-id
#
# In Kubernetes, use the method "kubernetes" in place of AppRole: it needs no secret in a file.
#
# Run it as the user that Prometheus runs as:
#
#   vault agent -config=agent.hcl

vault {
  address = "https://vault.example.com:8200"
}

auto_auth {
  method "approle" {
    config = {
      role_id_file_path                   = "/etc/prometheus/vault-role-id"
      secret_id_file_path                 = "/etc/prometheus/vault-secret-id"
      remove_secret_id_file_after_reading = false
    }
  }

  sink "file" {
    config = {
      path = "/run/prometheus/vault-token"
      mode = 0400
    }
  }
}
