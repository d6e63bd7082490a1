# SPDX-License-Identifier: MPL-2.0
#
# For whoever keeps the engine running: looks after roles, sees how their tokens fare and can end them,
# without ever seeing a token or a client secret.
#
# Roles decide what a token may do: an operator can give a role any scope that the credential has. Scopes that
# manage client secrets need a config with allow_management_scopes=true, which only admin.hcl can write.
#
#   vault policy write adobeims-operator operator.hcl

path "adobeims/status/+" {
  capabilities = ["read"]
}

# All roles at a glance: vault list -detailed adobeims/status
path "adobeims/status/" {
  capabilities = ["list"]
}

path "adobeims/metrics" {
  capabilities = ["read"]
}

# Where a token comes from that was found in a log: vault write adobeims/lookup token=@found.txt
path "adobeims/lookup" {
  capabilities = ["update"]
}

# The kill switch: vault delete adobeims/token/<role>
path "adobeims/token/+" {
  capabilities = ["delete"]
}

# The same for exclusive roles: vault lease revoke -prefix adobeims/token/<role>
# Vault wants sudo for it. The path ends in one role, so no other engine's leases can be revoked with it.
path "sys/leases/revoke-prefix/adobeims/token/+" {
  capabilities = ["update", "sudo"]
}

path "adobeims/roles/" {
  capabilities = ["list"]
}

path "adobeims/roles/+" {
  capabilities = ["create", "read", "update", "delete"]
}

# Which credentials there are. Their secrets are never answered.
path "adobeims/config/" {
  capabilities = ["list"]
}

path "adobeims/config/+" {
  capabilities = ["read"]
}

path "adobeims/info" {
  capabilities = ["read"]
}
