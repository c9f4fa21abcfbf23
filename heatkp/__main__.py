from heatkp.cli import main

main()
