# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_tflock_global_optspecs
    string join \n store= table= lock-id= wait= reason= expire-after= terraform= no-input q/quiet v/verbose help version
end

function __fish_tflock_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_tflock_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_tflock_using_subcommand
    set -l cmd (__fish_tflock_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c tflock -n "__fish_tflock_needs_command" -l store -d 'Where the lock lives' -r -f -a "auto\t'What the backend says; files on this machine if it says nothing'
dynamodb\t'An item of a DynamoDB table'
s3\t'terraform\'s lock object in S3'
local\t'Files on this machine'"
complete -c tflock -n "__fish_tflock_needs_command" -l table -d 'DynamoDB table [default: the backend\'s `dynamodb_table`]' -r
complete -c tflock -n "__fish_tflock_needs_command" -l lock-id -d 'The lock\'s name [default: from the backend and workspace]' -r
complete -c tflock -n "__fish_tflock_needs_command" -l wait -d 'How long to wait for a held lock: `90s`, `1h15m`, `0` for one attempt, `forever` for no limit' -r
complete -c tflock -n "__fish_tflock_needs_command" -l reason -d 'Shown to everyone who meets the lock' -r
complete -c tflock -n "__fish_tflock_needs_command" -l expire-after -d 'Let others take the lock over after this much silence, or `never` [default: plan 60s, all else never]' -r
complete -c tflock -n "__fish_tflock_needs_command" -l terraform -d 'Program to run [default: `terraform`, else `tofu`, from PATH]' -r -F
complete -c tflock -n "__fish_tflock_needs_command" -l no-input -d 'Never prompt; so too without a terminal'
complete -c tflock -n "__fish_tflock_needs_command" -s q -l quiet -d 'Errors only'
complete -c tflock -n "__fish_tflock_needs_command" -s v -l verbose -d 'Say on stderr what is done and why'
complete -c tflock -n "__fish_tflock_needs_command" -l help -d 'Print help'
complete -c tflock -n "__fish_tflock_needs_command" -l version -d 'Print the version, and that of terraform'
complete -c tflock -n "__fish_tflock_needs_command" -f -a "exec" -d 'Hold the lock round any program'
complete -c tflock -n "__fish_tflock_needs_command" -f -a "status" -d 'Show who holds the lock, and whether they are alive'
complete -c tflock -n "__fish_tflock_needs_command" -f -a "force-unlock" -d 'Remove the lock of a holder that is dead, after asking'
complete -c tflock -n "__fish_tflock_needs_command" -f -a "completions" -d 'Print the completion script for a shell'
complete -c tflock -n "__fish_tflock_needs_command" -f -a "apply" -d 'Create or update infrastructure'
complete -c tflock -n "__fish_tflock_needs_command" -f -a "console" -d 'Try Terraform expressions at an interactive prompt'
complete -c tflock -n "__fish_tflock_needs_command" -f -a "destroy" -d 'Destroy previously created infrastructure'
complete -c tflock -n "__fish_tflock_needs_command" -f -a "env" -d 'Workspace management, by its old name'
complete -c tflock -n "__fish_tflock_needs_command" -f -a "fmt" -d 'Reformat the configuration in the standard style'
complete -c tflock -n "__fish_tflock_needs_command" -f -a "get" -d 'Install or upgrade remote modules'
complete -c tflock -n "__fish_tflock_needs_command" -f -a "graph" -d 'Generate a Graphviz graph of the steps in an operation'
complete -c tflock -n "__fish_tflock_needs_command" -f -a "import" -d 'Associate existing infrastructure with a resource'
complete -c tflock -n "__fish_tflock_needs_command" -f -a "init" -d 'Prepare the working directory for other commands'
complete -c tflock -n "__fish_tflock_needs_command" -f -a "login" -d 'Obtain and save credentials for a remote host'
complete -c tflock -n "__fish_tflock_needs_command" -f -a "logout" -d 'Remove locally stored credentials for a remote host'
complete -c tflock -n "__fish_tflock_needs_command" -f -a "metadata" -d 'Metadata related commands'
complete -c tflock -n "__fish_tflock_needs_command" -f -a "modules" -d 'Show all declared modules in a working directory'
complete -c tflock -n "__fish_tflock_needs_command" -f -a "output" -d 'Show output values from the root module'
complete -c tflock -n "__fish_tflock_needs_command" -f -a "plan" -d 'Show changes required by the current configuration'
complete -c tflock -n "__fish_tflock_needs_command" -f -a "providers" -d 'Show the providers required for this configuration'
complete -c tflock -n "__fish_tflock_needs_command" -f -a "refresh" -d 'Update the state to match remote systems'
complete -c tflock -n "__fish_tflock_needs_command" -f -a "show" -d 'Show the current state or a saved plan'
complete -c tflock -n "__fish_tflock_needs_command" -f -a "stacks" -d 'Manage stacks'
complete -c tflock -n "__fish_tflock_needs_command" -f -a "state" -d 'Advanced state management'
complete -c tflock -n "__fish_tflock_needs_command" -f -a "taint" -d 'Mark a resource instance as not fully functional'
complete -c tflock -n "__fish_tflock_needs_command" -f -a "test" -d 'Execute integration tests for modules'
complete -c tflock -n "__fish_tflock_needs_command" -f -a "untaint" -d 'Remove the tainted state from a resource instance'
complete -c tflock -n "__fish_tflock_needs_command" -f -a "validate" -d 'Check whether the configuration is valid'
complete -c tflock -n "__fish_tflock_needs_command" -f -a "version" -d 'Show the Terraform version'
complete -c tflock -n "__fish_tflock_needs_command" -f -a "workspace" -d 'Workspace management'
complete -c tflock -n "__fish_tflock_using_subcommand exec" -l store -d 'Where the lock lives' -r -f -a "auto\t'What the backend says; files on this machine if it says nothing'
dynamodb\t'An item of a DynamoDB table'
s3\t'terraform\'s lock object in S3'
local\t'Files on this machine'"
complete -c tflock -n "__fish_tflock_using_subcommand exec" -l table -d 'DynamoDB table [default: the backend\'s `dynamodb_table`]' -r
complete -c tflock -n "__fish_tflock_using_subcommand exec" -l lock-id -d 'The lock\'s name [default: from the backend and workspace]' -r
complete -c tflock -n "__fish_tflock_using_subcommand exec" -l wait -d 'How long to wait for a held lock: `90s`, `1h15m`, `0` for one attempt, `forever` for no limit' -r
complete -c tflock -n "__fish_tflock_using_subcommand exec" -l reason -d 'Shown to everyone who meets the lock' -r
complete -c tflock -n "__fish_tflock_using_subcommand exec" -l expire-after -d 'Let others take the lock over after this much silence, or `never` [default: plan 60s, all else never]' -r
complete -c tflock -n "__fish_tflock_using_subcommand exec" -l terraform -d 'Program to run [default: `terraform`, else `tofu`, from PATH]' -r -F
complete -c tflock -n "__fish_tflock_using_subcommand exec" -l no-input -d 'Never prompt; so too without a terminal'
complete -c tflock -n "__fish_tflock_using_subcommand exec" -s q -l quiet -d 'Errors only'
complete -c tflock -n "__fish_tflock_using_subcommand exec" -s v -l verbose -d 'Say on stderr what is done and why'
complete -c tflock -n "__fish_tflock_using_subcommand exec" -l help -d 'Print help'
complete -c tflock -n "__fish_tflock_using_subcommand status" -l store -d 'Where the lock lives' -r -f -a "auto\t'What the backend says; files on this machine if it says nothing'
dynamodb\t'An item of a DynamoDB table'
s3\t'terraform\'s lock object in S3'
local\t'Files on this machine'"
complete -c tflock -n "__fish_tflock_using_subcommand status" -l table -d 'DynamoDB table [default: the backend\'s `dynamodb_table`]' -r
complete -c tflock -n "__fish_tflock_using_subcommand status" -l lock-id -d 'The lock\'s name [default: from the backend and workspace]' -r
complete -c tflock -n "__fish_tflock_using_subcommand status" -l wait -d 'How long to wait for a held lock: `90s`, `1h15m`, `0` for one attempt, `forever` for no limit' -r
complete -c tflock -n "__fish_tflock_using_subcommand status" -l reason -d 'Shown to everyone who meets the lock' -r
complete -c tflock -n "__fish_tflock_using_subcommand status" -l expire-after -d 'Let others take the lock over after this much silence, or `never` [default: plan 60s, all else never]' -r
complete -c tflock -n "__fish_tflock_using_subcommand status" -l terraform -d 'Program to run [default: `terraform`, else `tofu`, from PATH]' -r -F
complete -c tflock -n "__fish_tflock_using_subcommand status" -l json -d 'Print one JSON object'
complete -c tflock -n "__fish_tflock_using_subcommand status" -l exit-code -d 'Exit with 0 if the lock is free, 75 if it is held, 76 if it is stale'
complete -c tflock -n "__fish_tflock_using_subcommand status" -l no-input -d 'Never prompt; so too without a terminal'
complete -c tflock -n "__fish_tflock_using_subcommand status" -s q -l quiet -d 'Errors only'
complete -c tflock -n "__fish_tflock_using_subcommand status" -s v -l verbose -d 'Say on stderr what is done and why'
complete -c tflock -n "__fish_tflock_using_subcommand status" -l help -d 'Print help'
complete -c tflock -n "__fish_tflock_using_subcommand force-unlock" -l store -d 'Where the lock lives' -r -f -a "auto\t'What the backend says; files on this machine if it says nothing'
dynamodb\t'An item of a DynamoDB table'
s3\t'terraform\'s lock object in S3'
local\t'Files on this machine'"
complete -c tflock -n "__fish_tflock_using_subcommand force-unlock" -l table -d 'DynamoDB table [default: the backend\'s `dynamodb_table`]' -r
complete -c tflock -n "__fish_tflock_using_subcommand force-unlock" -l lock-id -d 'The lock\'s name [default: from the backend and workspace]' -r
complete -c tflock -n "__fish_tflock_using_subcommand force-unlock" -l wait -d 'How long to wait for a held lock: `90s`, `1h15m`, `0` for one attempt, `forever` for no limit' -r
complete -c tflock -n "__fish_tflock_using_subcommand force-unlock" -l reason -d 'Shown to everyone who meets the lock' -r
complete -c tflock -n "__fish_tflock_using_subcommand force-unlock" -l expire-after -d 'Let others take the lock over after this much silence, or `never` [default: plan 60s, all else never]' -r
complete -c tflock -n "__fish_tflock_using_subcommand force-unlock" -l terraform -d 'Program to run [default: `terraform`, else `tofu`, from PATH]' -r -F
complete -c tflock -n "__fish_tflock_using_subcommand force-unlock" -l force -d 'Remove it although its holder is alive'
complete -c tflock -n "__fish_tflock_using_subcommand force-unlock" -l yes -d 'Do not ask'
complete -c tflock -n "__fish_tflock_using_subcommand force-unlock" -l no-input -d 'Never prompt; so too without a terminal'
complete -c tflock -n "__fish_tflock_using_subcommand force-unlock" -s q -l quiet -d 'Errors only'
complete -c tflock -n "__fish_tflock_using_subcommand force-unlock" -s v -l verbose -d 'Say on stderr what is done and why'
complete -c tflock -n "__fish_tflock_using_subcommand force-unlock" -l help -d 'Print help'
complete -c tflock -n "__fish_tflock_using_subcommand completions" -l store -d 'Where the lock lives' -r -f -a "auto\t'What the backend says; files on this machine if it says nothing'
dynamodb\t'An item of a DynamoDB table'
s3\t'terraform\'s lock object in S3'
local\t'Files on this machine'"
complete -c tflock -n "__fish_tflock_using_subcommand completions" -l table -d 'DynamoDB table [default: the backend\'s `dynamodb_table`]' -r
complete -c tflock -n "__fish_tflock_using_subcommand completions" -l lock-id -d 'The lock\'s name [default: from the backend and workspace]' -r
complete -c tflock -n "__fish_tflock_using_subcommand completions" -l wait -d 'How long to wait for a held lock: `90s`, `1h15m`, `0` for one attempt, `forever` for no limit' -r
complete -c tflock -n "__fish_tflock_using_subcommand completions" -l reason -d 'Shown to everyone who meets the lock' -r
complete -c tflock -n "__fish_tflock_using_subcommand completions" -l expire-after -d 'Let others take the lock over after this much silence, or `never` [default: plan 60s, all else never]' -r
complete -c tflock -n "__fish_tflock_using_subcommand completions" -l terraform -d 'Program to run [default: `terraform`, else `tofu`, from PATH]' -r -F
complete -c tflock -n "__fish_tflock_using_subcommand completions" -l no-input -d 'Never prompt; so too without a terminal'
complete -c tflock -n "__fish_tflock_using_subcommand completions" -s q -l quiet -d 'Errors only'
complete -c tflock -n "__fish_tflock_using_subcommand completions" -s v -l verbose -d 'Say on stderr what is done and why'
complete -c tflock -n "__fish_tflock_using_subcommand completions" -l help -d 'Print help'
complete -c tflock -n "__fish_tflock_using_subcommand metadata; and not __fish_seen_subcommand_from functions" -f -a "functions"
complete -c tflock -n "__fish_tflock_using_subcommand providers; and not __fish_seen_subcommand_from lock mirror schema" -f -a "lock"
complete -c tflock -n "__fish_tflock_using_subcommand providers; and not __fish_seen_subcommand_from lock mirror schema" -f -a "mirror"
complete -c tflock -n "__fish_tflock_using_subcommand providers; and not __fish_seen_subcommand_from lock mirror schema" -f -a "schema"
complete -c tflock -n "__fish_tflock_using_subcommand state; and not __fish_seen_subcommand_from identities list mv pull push replace-provider rm show" -f -a "identities"
complete -c tflock -n "__fish_tflock_using_subcommand state; and not __fish_seen_subcommand_from identities list mv pull push replace-provider rm show" -f -a "list"
complete -c tflock -n "__fish_tflock_using_subcommand state; and not __fish_seen_subcommand_from identities list mv pull push replace-provider rm show" -f -a "mv"
complete -c tflock -n "__fish_tflock_using_subcommand state; and not __fish_seen_subcommand_from identities list mv pull push replace-provider rm show" -f -a "pull"
complete -c tflock -n "__fish_tflock_using_subcommand state; and not __fish_seen_subcommand_from identities list mv pull push replace-provider rm show" -f -a "push"
complete -c tflock -n "__fish_tflock_using_subcommand state; and not __fish_seen_subcommand_from identities list mv pull push replace-provider rm show" -f -a "replace-provider"
complete -c tflock -n "__fish_tflock_using_subcommand state; and not __fish_seen_subcommand_from identities list mv pull push replace-provider rm show" -f -a "rm"
complete -c tflock -n "__fish_tflock_using_subcommand state; and not __fish_seen_subcommand_from identities list mv pull push replace-provider rm show" -f -a "show"
complete -c tflock -n "__fish_tflock_using_subcommand workspace; and not __fish_seen_subcommand_from delete list new select show" -f -a "delete"
complete -c tflock -n "__fish_tflock_using_subcommand workspace; and not __fish_seen_subcommand_from delete list new select show" -f -a "list"
complete -c tflock -n "__fish_tflock_using_subcommand workspace; and not __fish_seen_subcommand_from delete list new select show" -f -a "new"
complete -c tflock -n "__fish_tflock_using_subcommand workspace; and not __fish_seen_subcommand_from delete list new select show" -f -a "select"
complete -c tflock -n "__fish_tflock_using_subcommand workspace; and not __fish_seen_subcommand_from delete list new select show" -f -a "show"
