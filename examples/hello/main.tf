# Needs no provider to be downloaded, no account and no `terraform init`.
resource "terraform_data" "hello" {
  input = "under the lock"
}

output "hello" {
  value = terraform_data.hello.output
}
