variable "region" {
  type        = string
  description = "Region of the secrets."
}

variable "account_id" {
  type        = string
  description = "Account of the secrets."
}

variable "partition" {
  type        = string
  default     = "aws"
  description = "Partition of the account: aws, aws-cn or aws-us-gov."
}

variable "tag_key" {
  type        = string
  default     = "rotate-user"
  description = "The worker may rotate the secrets that have a tag with this key, whatever its value. starter fleet sync follows the same tag."
}

variable "created_prefix" {
  type        = string
  default     = ""
  description = "Beginning of the names of the secrets that starter create may create and starter delete may delete; they need no tag. Empty for none."
}

variable "master_secret_arns" {
  type        = list(string)
  default     = []
  description = "Master secrets that the worker may read."
}

variable "database_arns" {
  type        = list(string)
  default     = []
  description = "Instances and clusters of RDS whose master secret RDS manages."

  validation {
    condition     = alltrue([for arn in var.database_arns : can(regex("^arn:[^:]+:rds:[^:]+:[^:]+:(db|cluster):", arn))])
    error_message = "Each must be the ARN of an instance or of a cluster."
  }
}

variable "kms_key_arns" {
  type        = list(string)
  default     = []
  description = "KMS keys of these secrets. aws/secretsmanager needs no entry."
}

variable "fleet_sync" {
  type        = bool
  default     = false
  description = "Whether the worker may list the secrets of the account, for starter fleet sync."
}

variable "oidc_provider_arn" {
  type        = string
  description = "OIDC provider of the EKS cluster."
}

variable "namespace" {
  type        = string
  description = "Kubernetes namespace of the worker."
}

variable "service_account" {
  type        = string
  description = "Service account of the worker."
}
