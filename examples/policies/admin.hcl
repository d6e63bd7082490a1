# SPDX-License-Identifier: MPL-2.0
#
# For whoever owns the credential in the Adobe Developer Console. It goes into Vault, is changed and rotated here.
# Neither a role nor a token can be had with this policy alone: whoever holds the credential and whoever gives
# its tokens out may be two people.
#
#   vault policy write adobeims-admin admin.hcl

path "adobeims/config/" {
  capabilities = ["list"]
}

path "adobeims/config/+" {
  capabilities = ["create", "read", "update", "delete"]
}

# A new client secret. "+" is one segment, so the path above does not cover it.
path "adobeims/config/+/rotate" {
  capabilities = ["update"]
}

# A person's authorization of a role of an oauth_web_app credential is a credential too. "read" tells who gave it.
# "update" begins a sign-in, and decides whose tokens the role serves. "delete" revokes.
path "adobeims/authorize/+" {
  capabilities = ["read", "update", "delete"]
}

# A config that roles use cannot be deleted: these are the roles.
path "adobeims/roles/" {
  capabilities = ["list"]
}

path "adobeims/roles/+" {
  capabilities = ["read"]
}

# Whether an authorization is good, and when it lapses; and all roles at a glance.
path "adobeims/status/+" {
  capabilities = ["read"]
}

path "adobeims/status/" {
  capabilities = ["list"]
}

path "adobeims/info" {
  capabilities = ["read"]
}
