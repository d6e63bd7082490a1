# SPDX-License-Identifier: MPL-2.0
#
# The engine as code: the mount, the credential, a role, the policy to read its token, and the token itself for
# other providers of the same run. The plugin has to be in Vault's catalogue (vault plugin register).
#
#   export VAULT_ADDR=https://vault.example.com:8200 VAULT_TOKEN=...
#   export TF_VAR_client_id=... TF_VAR_client_secret=... TF_VAR_org_id=...
#   terraform init && terraform apply
#
# How far this file is tested: README.md, one directory up.

terraform {
  required_version = ">= 1.10" # the first with ephemeral blocks
  required_providers {
    vault = {
      source  = "hashicorp/vault"
      version = "~> 5.9"
    }
  }
}

variable "client_id" {
  description = "Client ID of the OAuth Server-to-Server credential in the Adobe Developer Console."
  type        = string
}

variable "client_secret" {
  description = "Its client secret."
  type        = string
  sensitive   = true
}

variable "org_id" {
  description = "IMS organisation, ...@AdobeOrg."
  type        = string
}

variable "ims_url" {
  description = "Address of IMS."
  type        = string
  default     = "https://ims-na1.adobelogin.com"
}

resource "vault_mount" "adobeims" {
  path        = "adobeims"
  type        = "vault-plugin-secrets-adobeims"
  description = "Access tokens of Adobe IMS"
}

# data_json is in Terraform's state in plain text, the client secret included, sensitive or not: the state has to be
# kept as the secret would be. Once the config is there, client_secret can be taken out below: a field left out keeps
# its value in Vault. Do that at the latest when the secret is rotated by the engine: the state has an old one then,
# and must not write it again.
resource "vault_generic_endpoint" "config" {
  path = "${vault_mount.adobeims.path}/config/default"

  # Vault never answers the secret. With this, fields that Vault does not answer are no difference, and the others
  # still show what was changed elsewhere; with disable_read nothing would.
  ignore_absent_fields = true

  data_json = jsonencode({
    client_id     = var.client_id
    client_secret = var.client_secret
    org_id        = var.org_id
    ims_url       = var.ims_url
  })
}

resource "vault_generic_endpoint" "firefly" {
  path                 = "${vault_mount.adobeims.path}/roles/firefly"
  ignore_absent_fields = true

  # As Vault answers them: scopes as a list, durations in seconds. "1h" would be a difference in every plan.
  data_json = jsonencode({
    config  = "default"
    scopes  = ["openid", "AdobeID", "firefly_api", "ff_apis"]
    min_ttl = 3600
  })

  # The role goes first when all is destroyed: Vault keeps a config that roles use.
  depends_on = [vault_generic_endpoint.config]
}

resource "vault_policy" "firefly_reader" {
  name   = "firefly-reader"
  policy = <<-EOT
    path "${vault_mount.adobeims.path}/token/firefly" {
      capabilities = ["read"]
    }
  EOT
}

# The token, for other providers of this run only:
#
#   headers = { Authorization = "Bearer ${ephemeral.vault_generic_secret.firefly.data["access_token"]}" }
#
# Ephemeral, because the data source of that name would put the token into the state. The lease ends with the
# Vault token that the provider creates for the run; the Adobe token, which others share, lives on. An application
# reads its own: see the other examples.
ephemeral "vault_generic_secret" "firefly" {
  path     = "${vault_mount.adobeims.path}/token/firefly"
  mount_id = vault_generic_endpoint.firefly.id # waits until the role is there
}
