# SPDX-License-Identifier: MPL-2.0
#
# For an application: the token of one role, and nothing else.
#
#   vault policy write firefly-reader reader.hcl

path "adobeims/token/firefly" {
  # Add "update" for a client that reads by POST, such as the Vault Secrets Operator where params are set.
  # Never "delete": that is the kill switch.
  capabilities = ["read"]
}
