# SPDX-License-Identifier: MPL-2.0
#
# A Vault Agent beside an application that calls Adobe's APIs. It logs in, reads a token and keeps two files with
# it. The token is replaced in them when 85 to 95 % of its lease are over; the engine has had a newer one since half
# of the token's life, so at any time both files have a token that works.
#
#   vault agent -config=/etc/vault-agent/agent.hcl
#
# The policy is policies/reader.hcl.

vault {
  address = "https://vault.example.com:8200"
}

auto_auth {
  method "approle" {
    config = {
      role_id_file_path   = "/etc/vault-agent/role-id"
      secret_id_file_path = "/etc/vault-agent/secret-id"

      # By default the file is removed, and the Agent cannot log in again after a restart.
      remove_secret_id_file_after_reading = false
    }
  }
}

# For applications that read their headers from a file when it changes. A new file takes the place of the old one
# at once: nobody sees half of it.
template {
  source      = "/etc/vault-agent/headers.json.ctmpl"
  destination = "/run/adobe/headers.json"
  perms       = "0640"

  # A misspelt field is an error and not <no value> in a header.
  error_on_missing_key = true
}

# For applications that take the token from their environment. They see it when they start, so have them restarted
# when the file changes:
#
#   exec {
#     command = ["systemctl", "try-restart", "my-app.service"]
#   }
template {
  source      = "/etc/vault-agent/adobe.env.ctmpl"
  destination = "/run/adobe/adobe.env"
  perms       = "0640"

  error_on_missing_key = true
}
