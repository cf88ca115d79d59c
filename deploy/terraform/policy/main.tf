# The worker's policies. This module has no resources and needs no provider, so it can be evaluated anywhere.

locals {
  secret = "arn:${var.partition}:secretsmanager:${var.region}:${var.account_id}:secret:"
  rotate = [
    "secretsmanager:DescribeSecret",
    "secretsmanager:GetSecretValue",
    "secretsmanager:ListSecretVersionIds",
    "secretsmanager:PutSecretValue",
    "secretsmanager:UpdateSecretVersionStage",
  ]
  databases = {
    Instance = [for arn in var.database_arns : arn if length(regexall(":db:", arn)) > 0]
    Cluster  = [for arn in var.database_arns : arn if length(regexall(":cluster:", arn)) > 0]
  }

  statements = concat(
    [{
      Sid       = "RotateTagged"
      Effect    = "Allow"
      Action    = local.rotate
      Resource  = ["${local.secret}*"]
      Condition = { Null = { "aws:ResourceTag/${var.tag_key}" = "false" } }
    }],
    var.created_prefix == "" ? [] : [{
      Sid      = "CreateAndDelete"
      Effect   = "Allow"
      Action   = concat(local.rotate, ["secretsmanager:CreateSecret", "secretsmanager:DeleteSecret"])
      Resource = ["${local.secret}${var.created_prefix}*"]
    }],
    length(var.master_secret_arns) == 0 ? [] : [{
      Sid      = "ReadMaster"
      Effect   = "Allow"
      Action   = ["secretsmanager:GetSecretValue"]
      Resource = var.master_secret_arns
    }],
    [for kind, arns in local.databases : {
      Sid       = "ReadMasterOf${kind}"
      Effect    = "Allow"
      Action    = ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"]
      Resource  = ["${local.secret}rds!*"]
      Condition = { StringEquals = { "aws:ResourceTag/aws:rds:primaryDB${kind}Arn" = arns } }
    } if length(arns) > 0],
    [for kind, arns in local.databases : {
      Sid      = "Find${kind}"
      Effect   = "Allow"
      Action   = ["rds:DescribeDB${kind}s"]
      Resource = arns
    } if length(arns) > 0],
    var.fleet_sync ? [{
      Sid      = "FleetSync"
      Effect   = "Allow"
      Action   = ["secretsmanager:ListSecrets"]
      Resource = ["*"] # AWS cannot limit it to some secrets
    }] : [],
    length(var.kms_key_arns) == 0 ? [] : [{
      Sid       = "UseKeys"
      Effect    = "Allow"
      Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource  = var.kms_key_arns
      Condition = { StringEquals = { "kms:ViaService" = "secretsmanager.${var.region}.amazonaws.com" } }
    }],
  )

  issuer = element(split(":oidc-provider/", var.oidc_provider_arn), 1)
}

output "policy" {
  description = "What the worker may do, in JSON."
  value       = jsonencode({ Version = "2012-10-17", Statement = local.statements })
}

output "trust_policy" {
  description = "Who may take the worker's role, in JSON: its service account and nothing else."
  value = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRoleWithWebIdentity"
      Principal = { Federated = var.oidc_provider_arn }
      Condition = { StringEquals = {
        "${local.issuer}:aud" = "sts.amazonaws.com"
        "${local.issuer}:sub" = "system:serviceaccount:${var.namespace}:${var.service_account}"
      } }
    }]
  })
}
