# ./policy/variables.tf describes the variables that both modules have.

variable "name" {
  type        = string
  default     = "rotate-user"
  description = "Name of the role."
}

variable "oidc_provider_arn" {
  type = string
}

variable "namespace" {
  type    = string
  default = "rotate-user"
}

variable "service_account" {
  type    = string
  default = "rotate-user"
}

variable "master_secret_arns" {
  type    = list(string)
  default = []
}

variable "database_arns" {
  type    = list(string)
  default = []
}

variable "tag_key" {
  type    = string
  default = "rotate-user"
}

variable "created_prefix" {
  type    = string
  default = ""
}

variable "kms_key_arns" {
  type    = list(string)
  default = []
}

variable "fleet_sync" {
  type    = bool
  default = false
}
