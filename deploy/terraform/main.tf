# The worker's IAM role on EKS (IRSA), with the least policy. docs/deploy.md shows how to use it.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0"
    }
  }
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

module "policy" {
  source = "./policy"

  region             = data.aws_region.current.region
  account_id         = data.aws_caller_identity.current.account_id
  partition          = data.aws_partition.current.partition
  tag_key            = var.tag_key
  created_prefix     = var.created_prefix
  master_secret_arns = var.master_secret_arns
  database_arns      = var.database_arns
  kms_key_arns       = var.kms_key_arns
  fleet_sync         = var.fleet_sync
  oidc_provider_arn  = var.oidc_provider_arn
  namespace          = var.namespace
  service_account    = var.service_account
}

resource "aws_iam_role" "worker" {
  name               = var.name
  assume_role_policy = module.policy.trust_policy
}

resource "aws_iam_role_policy" "worker" {
  name   = "rotate-user"
  role   = aws_iam_role.worker.id
  policy = module.policy.policy
}

output "role_arn" {
  description = "The chart's serviceAccount.roleArn."
  value       = aws_iam_role.worker.arn
}
